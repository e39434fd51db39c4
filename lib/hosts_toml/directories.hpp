#pragma once

#include "base/result.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// The names under which containerd looks for a registry's directory, first match wins:
/// host_port_ (with a port), the name itself, _default (hostPaths).
std::vector<std::string> directoryNames(const std::string& registry);

/// The directory that this project writes for a registry: the first of directoryNames, so that
/// nothing else in the tree can hide it.
std::string ownDirectoryName(const std::string& registry);

/// What nodemirrord keeps something under while a file of its own is in the place: NAME.aside-1.
inline constexpr char kAside[] = ".aside-";
bool isAside(const std::string& name);

/// The names in a certs.d tree, in order, but for hidden ones and those that something is kept
/// under; absent where there is no tree.
Seen<std::vector<std::string>> directoriesUnder(const std::string& root);

/// The registry that a directory name stands for: host_port_ is host:port.
std::string registryOfDirectory(const std::string& directory);

}  // namespace nodemirror
