#pragma once

#include <string_view>

namespace nodemirror {

/// Whether a path ends in the root of a registry's API, which containerd adds to a host's path that
/// does not (parseHostConfig).
inline bool endsInApiRoot(std::string_view path) { return path.ends_with("/v2"); }

}  // namespace nodemirror
