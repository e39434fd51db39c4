#pragma once

#include "containerd_config/config_edit.hpp"
#include "desired/desired.hpp"
#include "observed/node.hpp"
#include "plan/reason.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// What is known beside the node itself when config_path is judged.
struct ConfigSurroundings {
    std::string certsDir;
    /// Registries that the desired state takes care of, or a directory in certs.d that is read and
    /// says something; "*" when _default does.
    std::set<std::string> covered;
    /// Registries that have a directory under the config_path in force, where that is another.
    std::set<std::string> elsewhere;
    std::string elsewhereUnknown;  ///< why that directory could not be looked into; or empty
    /// The fingerprint of an edit that was taken back, with containerd's own error.
    std::string rolledBack;
    std::string rolledBackError;
};

struct ConfigPlan {
    std::vector<ConfigFileEdit> edits;  ///< to be made, then containerd restarted
    std::string fingerprint;            ///< of the edits
    std::string editReason;
    bool restart = false;  ///< what is on disk is right, and the running containerd has not read it
    std::string restartReason;
    std::vector<Reason> reasons;
};

/// Judges whether containerd reads certs.d and what would make it so. An unknown version or
/// configuration gives no edit.
ConfigPlan planConfig(const Desired& desired, const ObservedNode& node,
                      const ConfigSurroundings& around);

/// Whether a config_path makes containerd look into certsDir before any other directory, if it
/// takes a list of directories apart (ContainerdConfig::splitsConfigPath) or not.
bool readsCertsDir(const std::string& configPath, bool splits, const std::string& certsDir);

/// The config_path that the running containerd uses, and how that is known.
struct EffectiveConfigPath {
    /// CRI shows it, or it is what the file says.
    enum class Source { Live, Inferred, Unknown };

    std::string value;
    Source source = Source::Unknown;
    std::optional<bool> effective;  ///< whether certs.d is read; nothing when unknown
};
std::string sourceName(EffectiveConfigPath::Source source);
EffectiveConfigPath effectiveConfigPath(const ObservedNode& node, const std::string& certsDir);

}  // namespace nodemirror
