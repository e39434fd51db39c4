#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// os/architecture[/variant], as image indexes name it.
struct Platform {
    std::string os;
    std::string architecture;
    std::string variant;

    std::string text() const;
};

/// A piece of an image (OCI image specification, "Content Descriptors").
struct Descriptor {
    std::string mediaType;
    std::string digest;  ///< algorithm:hex
    uint64_t size = 0;
    std::optional<Platform> platform;  ///< in an index
};

/// A manifest, or an index of manifests of several platforms.
struct ImageDocument {
    bool isIndex = false;
    std::vector<Descriptor> manifests;  ///< of an index
    Descriptor config;                  ///< of a manifest
    std::vector<Descriptor> layers;     ///< of a manifest
};

/// Why a digest is none, in the words of go-digest's Validate; empty for a valid one. Only that may
/// become a part of a URL or of a name.
std::string digestProblem(const std::string& digest);

/// Reads an OCI or Docker schema 2 manifest or index.
Result<ImageDocument> parseImageDocument(const std::string& json);

/// The manifest of an index that a machine of this platform runs; null when there is none.
const Descriptor* choosePlatform(const ImageDocument& index, const Platform& platform);

/// What a client accepts when it resolves a tag (containerd's resolveHeader).
extern const char kManifestAccept[];

}  // namespace nodemirror
