#pragma once

#include "base/result.hpp"
#include "containerd_config/config_reader.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// A new text for one file of containerd's configuration.
struct ConfigFileEdit {
    std::string path;
    bool existed = true;
    std::string before;
    std::string after;
};

/// Edits that make containerd read `certsDir`, and only it: sets config_path in the table that this
/// containerd reads, and takes out the legacy tables that do not go with it (`mirrors`; on 1.x also
/// configs.*.tls). Every comment and every other byte stays. The result is read back; an Error
/// says what to write by hand where no safe edit was found.
Result<std::vector<ConfigFileEdit>> editConfigPath(const ContainerdConfig& config,
                                                   const ContainerdVersion& containerd,
                                                   const std::string& certsDir);

}  // namespace nodemirror
