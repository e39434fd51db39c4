#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace nodemirror {

/// An image reference in the form that containerd's CRI stores and looks up:
/// host/repository[:tag][@digest], normalised as distribution's reference.ParseDockerRef does
/// ("nginx" is docker.io/library/nginx:latest; with a digest the tag is dropped).
struct ImageReference {
    std::string host;        ///< the registry's host, with a port if it was written
    std::string repository;  ///< without the host
    std::string tag;         ///< empty when there is a digest
    std::string digest;      ///< algorithm:hex, or empty

    std::string text() const;
};

/// Parses and normalises. Refuses what ParseDockerRef would refuse.
Result<ImageReference> parseImageReference(std::string_view text);

}  // namespace nodemirror
