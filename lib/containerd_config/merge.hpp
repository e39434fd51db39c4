#pragma once

#include "containerd_config/config_reader.hpp"

namespace nodemirror {

/// Fills in what the files of a configuration come to together: of which plugin a registry table
/// counts in which file depends on the versions of containerd and of all files. An Error: with them
/// containerd does not start, or CRI does not load.
Result<void> mergeFiles(const ContainerdVersion& containerd, ContainerdConfig& config);

}  // namespace nodemirror
