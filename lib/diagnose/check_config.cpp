#include "base/text.hpp"
#include "diagnose/checks.hpp"

namespace nodemirror::checks {

namespace {

using Severity = Finding::Severity;

const ContainerdConfig* configOf(const NodeFacts& facts) {
    return facts.node.config.isKnown() ? &facts.node.config.value() : nullptr;
}

std::string configFile(const NodeFacts& facts) {
    const ContainerdConfig* config = configOf(facts);
    if (config == nullptr) return "containerd's config.toml";
    return config->configPathFile.empty() ? config->path : config->configPathFile;
}

/// Of the plugin that counts in the file that is there.
std::string registryTable(const NodeFacts& facts) {
    const ContainerdConfig* config = configOf(facts);
    const ConfigFile* file = config != nullptr ? config->registryFile(facts.version) : nullptr;
    const std::string plugin =
        file != nullptr ? file->registryPlugin : newRegistryPlugin(facts.version);
    return "[plugins.\"" + plugin + "\".registry]";
}

std::string setConfigPath(const NodeFacts& facts) {
    return "write config_path = \"" + facts.certsDir + "\" under " + registryTable(facts) + " in " +
           configFile(facts) + " and restart " + facts.containerdUnit +
           "; nodemirrord does both by itself (containerd: {configPath: manage})";
}

}  // namespace

void containerdReachable(const NodeFacts& facts, Findings& findings) {
    if (facts.node.version.isUnknown())
        add(findings, Severity::Critical, "containerd-unreachable", facts.containerdUnit,
            facts.node.version.why(),
            "systemctl status " + facts.containerdUnit + "; journalctl -u " + facts.containerdUnit);
}

void criLoaded(const NodeFacts& facts, Findings& findings) {
    const ContainerdConfig* config = configOf(facts);
    if (config != nullptr && config->criDisabled) {
        add(findings, Severity::Critical, "cri-disabled", config->path,
            "disabled_plugins names the CRI plugin: kubelet cannot use this containerd",
            "take cri out of disabled_plugins and restart " + facts.containerdUnit);
        return;
    }
    if (!facts.node.cri.isKnown() || facts.node.cri.value().ready) return;
    const CriState& cri = facts.node.cri.value();
    add(findings, Severity::Critical, cri.refused ? "cri-not-loaded" : "cri-not-ready",
        facts.containerdUnit, cri.error,
        "mend what containerd names in " + configFile(facts) + " and restart " +
            facts.containerdUnit + "; until then no pod starts");
}

void configPath(const NodeFacts& facts, Findings& findings) {
    const ContainerdConfig* config = configOf(facts);
    if (config == nullptr) {
        add(findings, Severity::Critical, "config-unreadable", "config.toml",
            facts.node.config.why(),
            "mend the file, or wait until it is written: containerd does not start with what it "
            "cannot read");
        return;
    }
    const std::string& value = config->configPath;
    const bool live = facts.configPath.effective.value_or(false);
    const bool list = value.find(':') != std::string::npos;
    if (list && !config->splitsConfigPath(facts.version)) {
        add(findings, Severity::Critical, "config-path-list", configFile(facts),
            "config_path is " + inQuotes(value) + ", and containerd " + facts.version.text() +
                " reads none of several directories: every hosts.toml is ignored",
            setConfigPath(facts));
    } else if (value.empty() && config->mirrors.empty()) {
        const bool used = !facts.registries.empty();
        add(findings, used ? Severity::Critical : Severity::Warning, "config-path-unset",
            configFile(facts),
            std::string("config_path is not set: ") +
                (live ? "at its next start containerd will not read "
                      : "containerd does not read ") +
                facts.certsDir + (used ? ", where there are files for it" : ""),
            setConfigPath(facts));
    } else if (!value.empty() &&
               !readsCertsDir(value, config->splitsConfigPath(facts.version), facts.certsDir)) {
        add(findings, Severity::Warning, "config-path-elsewhere", configFile(facts),
            "config_path is " + inQuotes(value) + ", not " + facts.certsDir,
            "look there with --certs-dir, or: " + setConfigPath(facts));
    }
}

namespace {

/// What configPath tells of: after a restart, containerd would not read certs.d.
bool losesCertsDir(const NodeFacts& facts, const ContainerdConfig& config) {
    return facts.configPath.effective.value_or(false) &&
           !readsCertsDir(config.configPath, config.splitsConfigPath(facts.version),
                          facts.certsDir);
}

/// What legacyMirrors and criLoaded tell of: with it in the file, a restart ends CRI.
bool keepsCriFromLoading(const ContainerdConfig& config, const ContainerdVersion& version) {
    return config.criDisabled || (!config.configPath.empty() && config.hasLegacyTables(version));
}

}  // namespace

void configNotLoaded(const NodeFacts& facts, Findings& findings) {
    const bool older = facts.node.runsConfig.isKnown() && !facts.node.runsConfig.value();
    const bool live = facts.configPath.source == EffectiveConfigPath::Source::Live;
    const ContainerdConfig* config = configOf(facts);
    if (config == nullptr || (live && facts.configPath.value == config->configPath)) return;
    if (!live && !older) return;
    if (live && facts.node.runsConfig.isKnown() && facts.node.runsConfig.value()) {
        // It is newer than the file: a restart would change nothing.
        add(findings, Severity::Critical, "config-not-used", facts.containerdUnit,
            "the running containerd has config_path " + inQuotes(facts.configPath.value) +
                ", and " + configFile(facts) +
                ", which was last changed before it was started, says " +
                inQuotes(config->configPath) + ": it reads another file",
            "systemctl cat " + facts.containerdUnit +
                " shows its --config; give that file to nodemirrord, and here, as "
                "--containerd-config");
        return;
    }
    const std::string restart = "systemctl restart " + facts.containerdUnit;
    std::string remedy = restart + "; running pods stay as they are";
    if (keepsCriFromLoading(*config, facts.version))
        remedy = "do not restart it yet, for CRI does not load with " + configFile(facts) +
                 " as it is and no pod would start: mend that first, then " + restart;
    else if (losesCertsDir(facts, *config))
        remedy = "do not restart it yet, for with " + configFile(facts) +
                 " as it is the mirrors are lost: first " + setConfigPath(facts);
    add(findings, Severity::Critical, "config-not-loaded", facts.containerdUnit,
        live ? "the running containerd has config_path " + inQuotes(facts.configPath.value) +
                   ", and config.toml says " + inQuotes(config->configPath)
             : "containerd was started before its configuration was last changed",
        remedy);
}

void legacyMirrors(const NodeFacts& facts, Findings& findings) {
    const ContainerdConfig* config = configOf(facts);
    if (config == nullptr) return;
    for (const auto& mirror : config->mirrors) {
        const bool conflict = !config->configPath.empty();
        add(findings, conflict ? Severity::Critical : Severity::Warning, "legacy-mirrors",
            mirror.file + " " + mirror.registry,
            "mirrors of " + mirror.registry + " (" + join(mirror.endpoints, ", ") +
                ") stand in config.toml" +
                (conflict ? " beside config_path: the CRI plugin does not load with both"
                          : ": certs.d is not read while they are there, and containerd 2.4 will "
                            "drop them"),
            "nodemirrorctl import prints a desired state with them; then take them out of " +
                mirror.file);
    }
    if (config->configPath.empty() || facts.version.hasImagesPlugin()) return;
    for (const auto& legacy : config->tlsHosts)
        add(findings, Severity::Critical, "legacy-tls", legacy.file,
            "configs." + legacy.host +
                ".tls stands beside config_path: the CRI plugin does not load with both",
            "give the CA as `ca` in the mirror's entry, and take the table out of " + legacy.file);
}

/// Registry settings under the plugin of another containerd: they are ignored without a word.
void misplacedRegistry(const NodeFacts& facts, Findings& findings) {
    const ContainerdConfig* config = configOf(facts);
    if (config == nullptr || facts.version.migratesOldPluginNames()) return;
    for (const auto& file : config->files) {
        const auto* plugins = file.root.find("plugins");
        if (plugins == nullptr || !plugins->isTable()) continue;
        const std::string& read = file.registryPlugin;
        for (const auto& [name, plugin] : plugins->entries) {
            const bool criPlugin = name == "cri" || name == "io.containerd.grpc.v1.cri" ||
                                   name == "io.containerd.cri.v1.images";
            if (!criPlugin || name == read || !plugin.isTable()) continue;
            const auto* registry = plugin.find("registry");
            if (registry == nullptr || !registry->isTable() || registry->entries.empty()) continue;
            std::vector<std::string> keys;
            for (const auto& [key, value] : registry->entries) keys.push_back(key);
            add(findings, Severity::Critical, "registry-settings-ignored", file.path,
                "[plugins.\"" + name + "\".registry] with " + join(keys, ", ") +
                    " is ignored by containerd " + facts.version.text() + " in a file " +
                    (file.declared == 0 ? "without a version"
                                        : "of version " + std::to_string(file.declared)) +
                    ": it reads [plugins.\"" + read + "\".registry] there",
                "nodemirrorctl import, then " + setConfigPath(facts));
        }
    }
}

}  // namespace nodemirror::checks
