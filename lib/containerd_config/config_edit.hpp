#pragma once

#include "base/result.hpp"
#include "containerd_config/config_reader.hpp"

#include <set>
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

/// Sets `table`.`key` to a string. Exposed for tests.
Result<std::string> setTomlString(const std::string& text, const std::vector<std::string>& table,
                                  const std::string& key, const std::string& value);

/// Removes every expression at or below one of `paths`, keeping comments. Exposed for tests.
Result<std::string> removeTomlPaths(const std::string& text,
                                    const std::set<std::vector<std::string>>& paths);

}  // namespace nodemirror
