#pragma once

#include "hosts_toml/reader.hpp"
#include "observed/exchange.hpp"
#include "reference/image_reference.hpp"
#include "registry_protocol/api_error.hpp"
#include "registry_protocol/manifest.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// What one host of a chain said of an image reference.
struct HostFinding {
    ChainHost host;
    bool resolves = false;  ///< its capabilities let containerd ask it for this reference
    std::string url;        ///< of the manifest, as containerd requests it
    RegistryAnswer head;    ///< HEAD on the manifest; of blobs where a digest was found there
    ApiError apiError;      ///< of a refusal, from a GET
    std::optional<RegistryAnswer> get;  ///< where HEAD gave no digest or length
    std::string digest;                 ///< a valid one, or empty
    /// Why containerd refuses the digest that was told, and asks no other host; its words.
    std::string invalidDigest;
    std::string mediaType;
    uint64_t size = 0;
};

/// One attempt to read a piece from one host.
struct PieceAttempt {
    size_t host = 0;  ///< index in ImageFindings::hosts
    RegistryAnswer answer;
};

/// The error of a piece that broke off and that no host gives the rest of (io.ErrUnexpectedEOF).
inline constexpr char kBrokeOff[] = "unexpected EOF";

/// A piece of the image: index, manifest, config or a layer.
struct PieceFinding {
    std::string what;  ///< "index", "manifest", "config", "layer 2 of 3"
    Descriptor descriptor;
    std::vector<PieceAttempt> attempts;
    std::optional<size_t> servedBy;  ///< the host whose answer containerd would read
    bool whole = false;              ///< read to its end, and its digest compared
    Fault fault = Fault::None;       ///< what is wrong with the body that was served
    std::string error;
    uint64_t came = 0;   ///< bytes that came, or that the server said would come
    std::string sha256;  ///< of a body that is another than its digest says
};

/// Everything that was seen of an image through the hosts of its registry.
struct ImageFindings {
    ImageReference reference;
    ChainReading chain;
    std::vector<HostFinding> hosts;
    std::optional<size_t> winner;  ///< the host that resolves the reference
    std::vector<PieceFinding> pieces;
    Platform platform;
    enum class Uselessness { None, NotJson, NoPlatform, Other };
    Uselessness uselessness = Uselessness::None;
    std::string problem;        ///< why the image itself is of no use here; empty when it is
    size_t layersLeft = 0;      ///< that were not looked at, since those before took too long
    char firstCharacter = ' ';  ///< of a manifest that is no JSON
};

}  // namespace nodemirror
