#pragma once

#include "base/result.hpp"
#include "desired/desired.hpp"

#include <string>
#include <string_view>

namespace nodemirror {

/// Reads a mirror's or server's URL as people write it. Refuses what containerd would read in
/// another way than a person would: no scheme, credentials, query, fragment, odd ports.
/// The error's reason says what is wrong and what would be right; it never repeats credentials.
Result<Url> parseUrl(std::string_view text);

/// Whether a path ends in the root of a registry's API, which containerd adds to a host's path that
/// does not (parseHostConfig).
inline bool endsInApiRoot(std::string_view path) { return path.ends_with("/v2"); }

/// The path that requests of a mirror begin with, where its URL's own is not taken as it stands:
/// /v2, where it does not end in it, then the prefix (parseHostConfig; override_path takes it as it
/// stands, and has to be set for a prefix).
std::string apiPath(const Mirror& mirror);

/// The URL that names a mirror in hosts.toml: that of the desired state, or with a prefix that of
/// the place where requests go.
std::string hostUrl(const Mirror& mirror);

/// Empty when `name` can be the host part of an image reference, host:port, or _default;
/// otherwise what is wrong with it.
std::string registryNameProblem(std::string_view name);

}  // namespace nodemirror
