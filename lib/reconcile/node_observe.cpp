/// What the keeper sees of its node before it decides anything.
#include "base/text.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/reader.hpp"
#include "reconcile/node_keeper.hpp"

namespace nodemirror {

LoadedConfig::Process NodeKeeper::process() {
    LoadedConfig::Process out;
    out.id = containerd_.processId();
    const auto& unit = restarter_.observed(desired_->containerd.unit);
    if (unit.isKnown()) out.started = unit.value().startOf(out.id);
    return out;
}

Task<void> NodeKeeper::observe() {
    for (const auto& unit : {desired_->containerd.unit, desired_->kubelet.unit}) {
        auto task = restarter_.observe(unit);
        co_await std::move(task);
    }
    unitsUnknown_ = restarter_.observed(desired_->containerd.unit).isUnknown();
    auto ask = containerd_.version();
    const auto version = co_await std::move(ask);
    view_.reachable = version.has_value();
    view_.unreachable = version ? "" : version.error().brief();
    unreachableFor_ = version ? 0 : unreachableFor_ + 1;
    if (!version) {
        observed_ = ObservedNode();
        co_return;
    }
    if (!noteVersion(*version)) co_return;
    auto askCri = containerd_.criState();
    const auto cri = co_await std::move(askCri);
    observed_.cri = cri ? Seen<CriState>::known(*cri) : Seen<CriState>::unknown(cri.error().text());
    observeConfig();
}

/// False where the version cannot be read: what the others may mean is not known then.
bool NodeKeeper::noteVersion(const std::string& text) {
    observed_.versionText = text;
    const auto parsed = parseContainerdVersion(text);
    if (!parsed) {
        observed_.version = Seen<ContainerdVersion>::unknown("unknown version " + text);
        return false;
    }
    const bool changed = !observed_.version.isKnown() || observed_.version.value() != *parsed;
    observed_.version = Seen<ContainerdVersion>::known(*parsed);
    if (changed && onVersion_) onVersion_(*parsed);
    return true;
}

void NodeKeeper::observeConfig() {
    auto config = readConfig();
    if (config && config->exists) configSeen_ = true;
    if (config) {
        importedFiles_.clear();
        for (const auto& file : config->files)
            if (file.path != paths_.containerdConfig) importedFiles_.push_back(file.path);
    }
    observed_.runsConfig = config ? loaded_.readsCertsDir(process(), *config, config_.record())
                                  : Seen<bool>::unknown(config.error().text());
    observed_.config = config ? Seen<ContainerdConfig>::known(std::move(*config))
                              : Seen<ContainerdConfig>::unknown(config.error().text());
    if (config_.writes() != ownWrites_) settling_.expectOwn();
    ownWrites_ = config_.writes();
    settling_.look(observed_.config, std::chrono::steady_clock::now());
    const auto effective = effectiveConfigPath(observed_, paths_.certsDir);
    if (effective.effective.value_or(false)) loaded_.noteReadsCertsDir(containerd_.processId());
}

/// A file that was there, and was not taken away from here, is not replaced by a minimal one: what
/// it said would be lost.
Result<ContainerdConfig> NodeKeeper::readConfig() const {
    auto config = readContainerdConfig(paths_.containerdConfig, observed_.version.value());
    if (config && !config->exists && configUnknown_)
        return Error("read containerd's configuration", paths_.containerdConfig,
                     "it is not there, and whether it was before cannot be told: " + state_.path() +
                         "/config-seen.json is damaged",
                     "put it back, or touch " + paths_.containerdConfig);
    if (config && !config->exists && configSeen_ && !config_.tookAway(paths_.containerdConfig))
        return Error("read containerd's configuration", paths_.containerdConfig,
                     "it was there before and is gone",
                     "put it back; or, if it is to be gone, touch " + paths_.containerdConfig);
    return config;
}

/// The registries that have a directory where containerd looks now, and would not look any more.
void NodeKeeper::lookElsewhere(const std::string& configPath, ConfigSurroundings& around) const {
    const bool splits = observed_.config.value().splitsConfigPath(observed_.version.value());
    for (const auto& root : splits ? split(configPath, ':') : std::vector{configPath}) {
        if (root.empty() || root == paths_.certsDir) continue;
        const auto names = directoriesUnder(root);
        if (names.isUnknown()) around.elsewhereUnknown = names.why();
        for (const auto& name : names.value()) around.elsewhere.insert(registryOfDirectory(name));
    }
}

/// What is in certs.d for a registry itself, if it is read at all.
std::optional<ChainReading> NodeKeeper::readBelow(const std::string& registry) const {
    auto reading =
        readChain(paths_.certsDir, registry, observed_.version.value(), CertificateFiles::OfRoot);
    // Whether pulls through what others wrote come to anything is not known: they may name any
    // certificates.
    if (!reading.others.empty()) return std::nullopt;
    const bool fallback = reading.directory == "_default" && registry != "_default";
    if (reading.directory.empty() || fallback || !reading.error.empty() || !reading.ignored.empty())
        return std::nullopt;
    return reading;
}

ConfigSurroundings NodeKeeper::surroundings() const {
    ConfigSurroundings around;
    around.certsDir = paths_.certsDir;
    if (config_.record().stage == ConfigEditRecord::Stage::RolledBack) {
        around.rolledBack = config_.record().fingerprint;
        around.rolledBackError = config_.record().error;
    }
    for (const auto& registry : desired_->registries) around.covered.insert(registry.name);
    if (observed_.config.isKnown() && observed_.version.isKnown()) {
        const ContainerdConfig& config = observed_.config.value();
        lookElsewhere(config.configPath, around);
        std::set<std::string> asked;
        for (const auto& mirror : config.mirrors)
            asked.insert(mirror.registry == "*" ? "_default" : mirror.registry);
        for (const auto& tls : config.tlsHosts) asked.insert(tls.host);
        // A directory that says nothing takes the place of no legacy settings, and of its like.
        for (const auto& registry : asked)
            if (const auto reading = readBelow(registry); reading && isOwn(*reading))
                around.covered.insert(registry);
        for (const auto& registry : around.elsewhere)
            if (asked.count(registry) == 0 && readBelow(registry)) around.covered.insert(registry);
    }
    if (around.covered.count("_default")) around.covered.insert("*");
    return around;
}

Task<void> NodeKeeper::observeImages() {
    view_.required = requiredImages(*desired_, sandboxImageOf(observed_));
    observed_.images.clear();
    const bool ready = observed_.cri.isKnown() && observed_.cri.value().ready;
    for (const auto& image : view_.required) {
        using Answer = Seen<ObservedImage>;
        if (!ready) {
            observed_.images[image.name] = Answer::unknown("CRI is not ready");
            continue;
        }
        auto ask = containerd_.image(image.name);
        const auto seen = co_await std::move(ask);
        observed_.images[image.name] =
            seen ? Answer::known(*seen) : Answer::unknown(seen.error().text());
    }
}

}  // namespace nodemirror
