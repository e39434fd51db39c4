#include "plan/config_plan.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "hosts_toml/upstream.hpp"

namespace nodemirror {

namespace {

using Weight = Reason::Weight;

std::string withoutSlash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

/// What containerd would stop serving if the edit were made: a reason to stop, not to lose it.
void uncovered(const ContainerdConfig& config, const ConfigSurroundings& around,
               std::vector<Reason>& reasons) {
    for (const auto& mirror : config.mirrors) {
        if (around.covered.count(mirror.registry) || mirror.endpoints.empty()) continue;
        const std::string name = mirror.registry == "*" ? "_default" : mirror.registry;
        reasons.push_back(makeReason(
            Weight::Blocked, "LegacyMirrors", mirror.registry,
            "the legacy mirrors in " + mirror.file + " lead " + mirror.registry + " to " +
                join(mirror.endpoints, ", ") +
                ", and the desired state does not declare it; they must go for config_path to work",
            "declare " + name + " in the desired state with these mirrors, or remove them from " +
                mirror.file));
    }
    if (!around.elsewhereUnknown.empty())
        reasons.push_back(
            makeReason(Weight::Blocked, "ConfigPathElsewhere", config.path,
                       "containerd reads " + config.configPath +
                           ", and what it finds there is unknown: " + around.elsewhereUnknown,
                       "let the daemon read that directory, or set config_path to " +
                           around.certsDir + " by hand"));
    for (const auto& registry : around.elsewhere)
        if (!around.covered.count(registry))
            reasons.push_back(makeReason(
                Weight::Blocked, "ConfigPathElsewhere", registry,
                "containerd reads " + config.configPath + ", which has hosts of " + registry +
                    ", and the desired state does not declare it",
                "declare " + registry + " in the desired state, or move its directory to " +
                    around.certsDir));
}

bool hasTls(const Mirror& mirror) {
    return !mirror.ca.empty() || mirror.client || mirror.skipVerify;
}

/// Whether the desired state says how TLS is done with this host, or that it is not asked at all.
bool settlesTls(const Desired& desired, const std::string& host) {
    bool settled = false;
    for (const auto& registry : desired.registries) {
        for (const auto& mirror : registry.mirrors)
            settled = settled || (mirror.url.host == host && hasTls(mirror));
        settled =
            settled || (registry.fallback == Fallback::None && upstreamHost(registry.name) == host);
    }
    return settled;
}

/// Legacy TLS settings that would be lost: of mirrors that are declared without any of their own,
/// and of registries that are pulled from directly.
void uncoveredTls(const Desired& desired, const ContainerdConfig& config,
                  const ConfigSurroundings& around, std::vector<Reason>& reasons) {
    for (const auto& [host, file] : config.tlsHosts) {
        const std::string lost = "the legacy TLS settings of " + host + " in " + file +
                                 " must go for config_path to work, and ";
        bool told = false;
        for (const auto& registry : desired.registries)
            for (const auto& mirror : registry.mirrors) {
                if (mirror.url.host != host || hasTls(mirror) || mirror.url.scheme != "https")
                    continue;
                told = true;
                reasons.push_back(makeReason(
                    Weight::Blocked, "LegacyTls", host,
                    lost + "the mirror of " + registry.name +
                        " there has none in the desired state",
                    "give that mirror its ca, client or skipVerify in the desired state"));
            }
        const bool ofUser = around.covered.count(host) > 0 && desired.find(host) == nullptr;
        if (told || ofUser || settlesTls(desired, host)) continue;
        reasons.push_back(makeReason(
            Weight::Blocked, "LegacyTls", host,
            lost + "nothing in the desired state or in " + around.certsDir + " gives it any",
            "declare " + host + " with the mirror https://" + host +
                " and its ca, client or skipVerify; or remove the settings from " + file));
    }
}

void planEdit(const Desired& desired, const ContainerdConfig& config,
              const ContainerdVersion& version, const ConfigSurroundings& around,
              ConfigPlan& plan) {
    uncovered(config, around, plan.reasons);
    if (!version.hasImagesPlugin()) uncoveredTls(desired, config, around, plan.reasons);
    if (!plan.reasons.empty()) return;
    auto edits = editConfigPath(config, version, around.certsDir);
    if (!edits) {
        plan.reasons.push_back(makeReason(Weight::Blocked, "ConfigNotEditable", config.path,
                                          edits.error().brief(), edits.error().remedy()));
        return;
    }
    std::string all = version.text();
    for (const auto& edit : *edits) all += "\n" + edit.path + "\n" + edit.after;
    // Every file that is loaded counts: mending an import is a reason to try again.
    for (const auto& file : config.files) all += "\n" + file.path + "\n" + file.text;
    plan.fingerprint = sha256Hex(all);
    if (plan.fingerprint == around.rolledBack) {
        plan.reasons.push_back(makeReason(
            Weight::Blocked, "ConfigRolledBack", config.path,
            "containerd did not load CRI with config_path set, and the old file was put back: " +
                around.rolledBackError,
            "mend what containerd names in " + config.path +
                "; the edit is tried again as soon as the file changes"));
        return;
    }
    plan.edits = std::move(*edits);
    plan.editReason =
        config.configPath.empty()
            ? "config_path is not set: containerd does not read " + around.certsDir
        : config.configPath != around.certsDir
            ? "config_path is " + inQuotes(config.configPath) + ", not " + around.certsDir
            : "legacy registry tables beside config_path keep CRI from loading";
    for (const auto& mirror : config.mirrors)
        plan.editReason += "; the legacy mirrors of " + mirror.registry + " (" +
                           join(mirror.endpoints, ", ") + ") are moved out";
    for (const auto& [host, file] : config.tlsHosts)
        if (!version.hasImagesPlugin())
            plan.editReason += "; the legacy TLS settings of " + host + " are moved out";
}

/// The configuration on disk is right: whether the running containerd has read it.
void judgeRunning(const Desired& desired, const ObservedNode& node,
                  const ConfigSurroundings& around, ConfigPlan& plan) {
    const auto running = effectiveConfigPath(node, around.certsDir);
    if (running.effective.value_or(false)) return;
    const bool live = running.source == EffectiveConfigPath::Source::Live;
    if (live && node.runsConfig.isKnown() && node.runsConfig.value()) {
        // Another restart would change nothing.
        plan.reasons.push_back(makeReason(
            Weight::Blocked, "ConfigNotUsed", node.config.value().path,
            "containerd was started after this file was last changed, and runs with config_path " +
                inQuotes(running.value) + ": it reads another file",
            "systemctl cat " + desired.containerd.unit +
                " shows its --config; give that file to nodemirrord as --containerd-config"));
        return;
    }
    const bool older = node.runsConfig.isKnown() && !node.runsConfig.value();
    if (live || older) {
        plan.restartReason =
            live ? "containerd runs with an older configuration, in which config_path is " +
                       inQuotes(running.value)
                 : "containerd was started before its configuration was last changed";
        plan.restart = desired.configPath == ConfigPathPolicy::Manage;
        if (!plan.restart)
            plan.reasons.push_back(makeReason(Weight::Degraded, "RestartNeeded",
                                              desired.containerd.unit, plan.restartReason,
                                              "systemctl restart " + desired.containerd.unit));
    } else if (node.runsConfig.isUnknown() && node.cri.isKnown() && node.cri.value().ready) {
        plan.reasons.push_back(makeReason(
            Weight::Note, "ConfigPathUnproven", around.certsDir,
            "whether containerd has read config_path cannot be told: " + node.runsConfig.why(),
            "restart containerd once to be sure"));
    }
}

}  // namespace

bool readsCertsDir(const std::string& configPath, bool splits, const std::string& certsDir) {
    const std::string wanted = withoutSlash(certsDir);
    if (!splits) return withoutSlash(configPath) == wanted;
    return withoutSlash(split(configPath, ':').front()) == wanted;
}

std::string sourceName(EffectiveConfigPath::Source source) {
    using Source = EffectiveConfigPath::Source;
    switch (source) {
        case Source::Live: return "live";
        case Source::Inferred: return "inferred";
        case Source::Unknown: break;
    }
    return "unknown";
}

EffectiveConfigPath effectiveConfigPath(const ObservedNode& node, const std::string& certsDir) {
    EffectiveConfigPath out;
    if (!node.version.isKnown()) return out;
    if (node.cri.isKnown() && node.cri.value().live.isKnown()) {
        const LiveCriConfig& live = node.cri.value().live.value();
        out.value = live.configPath;
        out.source = EffectiveConfigPath::Source::Live;
        // Where CRI shows its configuration, no transfer service pulls.
        out.effective = readsCertsDir(live.configPath, true, certsDir);
        return out;
    }
    if (!node.config.isKnown()) return out;
    const ContainerdConfig& config = node.config.value();
    out.value = config.configPath;
    out.source = EffectiveConfigPath::Source::Inferred;
    const bool onDisk =
        readsCertsDir(out.value, config.splitsConfigPath(node.version.value()), certsDir) &&
        config.mirrors.empty();
    if (!onDisk)
        out.effective = false;
    else if (node.runsConfig.isKnown() && node.runsConfig.value())
        out.effective = node.cri.isKnown() && node.cri.value().ready;
    return out;
}

ConfigPlan planConfig(const Desired& desired, const ObservedNode& node,
                      const ConfigSurroundings& around) {
    ConfigPlan plan;
    if (desired.configPath == ConfigPathPolicy::Ignore || desired.registries.empty()) return plan;
    if (!node.version.isKnown()) return plan;
    if (!node.config.isKnown()) {
        if (!node.config.why().empty())
            plan.reasons.push_back(makeReason(Weight::Blocked, "ConfigUnreadable", "",
                                              node.config.why(),
                                              "mend it, or wait until it is written"));
        return plan;
    }
    const ContainerdVersion& version = node.version.value();
    const ContainerdConfig& config = node.config.value();
    if (config.criDisabled) {
        plan.reasons.push_back(makeReason(
            Weight::Blocked, "CriDisabled", config.path,
            "disabled_plugins names CRI, without which no kubelet can use this containerd",
            "remove \"cri\" from disabled_plugins in " + config.path + " and restart containerd"));
        return plan;
    }
    const bool conflicts = config.hasLegacyTables(version);
    const bool onDisk =
        readsCertsDir(config.configPath, config.splitsConfigPath(version), around.certsDir) &&
        !conflicts;
    if (!onDisk && desired.configPath == ConfigPathPolicy::Check) {
        plan.reasons.push_back(
            makeReason(Weight::Degraded, "ConfigPathNotSet", config.path,
                       "containerd does not read " + around.certsDir + ": config_path is " +
                           inQuotes(config.configPath) +
                           (conflicts ? " and legacy registry tables stand beside it" : ""),
                       "set config_path to " + around.certsDir + ", or configPath: manage"));
        return plan;
    }
    if (!onDisk) {
        planEdit(desired, config, version, around, plan);
        if (!plan.edits.empty() && !conflicts && node.cri.isKnown() && node.cri.value().refused) {
            // It would be made for nothing, and blamed for what is wrong already.
            plan.edits.clear();
            plan.reasons.push_back(
                makeReason(Weight::Degraded, "ConfigPathNotSet", config.path,
                           "containerd does not read " + around.certsDir +
                               ", which is mended when CRI is loaded: " + node.cri.value().error,
                           "mend what containerd names"));
        }
        return plan;
    }
    judgeRunning(desired, node, around, plan);
    return plan;
}

}  // namespace nodemirror
