#pragma once

#include "base/result.hpp"
#include "containerd_config/version.hpp"
#include "toml/value.hpp"

#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// One file of containerd's configuration.
struct ConfigFile {
    std::string path;
    std::string text;
    int64_t declared = 0;  ///< its own `version`; 0 where it has none
    toml_text::Value root;
    /// The plugin under which a registry table in this file counts.
    std::string registryPlugin;

    /// The keys that lead to that table.
    std::vector<std::string> registryTable() const {
        return {"plugins", registryPlugin, "registry"};
    }
};

/// The plugin that has the registry settings in a new file of the latest version.
std::string newRegistryPlugin(const ContainerdVersion& containerd);

/// A registry of the legacy `mirrors` table with where it led.
struct LegacyMirror {
    std::string registry;                ///< "*" stands for every registry without its own entry
    std::vector<std::string> endpoints;  ///< without credentials
    std::string file;
};

/// A host of the legacy `configs` table, as far as it can be carried over.
struct LegacyHost {
    std::string host;
    std::string ca;
    std::string cert;
    std::string key;
    bool skipVerify = false;
    bool hasAuth = false;  ///< credentials stand there; they are not read
};

/// What a containerd would load from its configuration on disk, as far as images go.
struct ContainerdConfig {
    std::string path;               ///< the main file
    bool exists = false;            ///< the main file is there
    std::vector<ConfigFile> files;  ///< in the order in which they are merged, the main one first
    std::string configPath;         ///< empty: not set
    std::string configPathFile;     ///< the file that sets it
    std::vector<LegacyMirror> mirrors;
    std::vector<LegacyHost> hosts;
    /// A host that has a legacy configs.*.tls table.
    struct LegacyTls {
        std::string host;
        std::string file;
    };
    std::vector<LegacyTls> tlsHosts;
    bool criDisabled = false;  ///< disabled_plugins names the CRI plugin
    /// The settings with which CRI pulls by itself from 2.1 on, and not by the transfer service
    /// (CheckLocalImagePullConfigs of internal/cri/config, configMigration of plugins/cri/images).
    std::set<std::string> localPull;
    std::string sandboxImage;  ///< with this version's default filled in

    /// Whether config_path may list several directories. The transfer service of 2.1 and later
    /// takes such a list for one name, and reads nothing.
    bool splitsConfigPath(const ContainerdVersion& containerd) const {
        return !containerd.pullsByTransferService() || !localPull.empty();
    }

    /// Whether it has legacy tables beside which CRI refuses config_path (ValidatePluginConfig).
    bool hasLegacyTables(const ContainerdVersion& containerd) const {
        return !mirrors.empty() || (!containerd.hasImagesPlugin() && !tlsHosts.empty());
    }

    /// Of the names and texts of all files.
    std::string digest() const;

    /// The file whose registry table is the one to change: on 1.x the last that has a section of
    /// the CRI plugin, since it replaces those before it; otherwise the last that sets
    /// config_path, or the main file; from 2.3 on one with a registry table under the plugin's old
    /// name in a file of version 3, which is migrated over the others. Null when there is no file.
    const ConfigFile* registryFile(const ContainerdVersion& containerd) const;
};

/// Reads the main file and its imports (LoadConfig and resolveImports of services/server/config in
/// 1.x, cmd/containerd/server/config in 2.x). A main file that does not exist is no error:
/// containerd then runs on its defaults. A file that cannot be read or parsed is one, for nobody
/// knows then what it says.
Result<ContainerdConfig> readContainerdConfig(const std::string& path,
                                              const ContainerdVersion& containerd);

/// The text of a configuration file with credentials replaced, for people to see.
std::string redactConfig(const std::string& text);

}  // namespace nodemirror
