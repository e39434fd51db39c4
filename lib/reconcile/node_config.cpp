/// How the keeper of a node has containerd's configuration kept.
#include "reconcile/node_keeper.hpp"

#include <algorithm>

namespace nodemirror {

/// An edit is proven by a process that was started after it, not by one that reads certs.d.
ContainerdRuns NodeKeeper::runs() {
    const ConfigEditRecord& record = config_.record();
    Seen<bool> configured;
    if (record.stage == ConfigEditRecord::Stage::Applying)
        configured = loaded_.hasReadEdit(process(), record);
    else if (observed_.config.isKnown())
        configured = loaded_.startedAfter(process(), observed_.config.value());
    return configured.isKnown() && configured.value() ? ContainerdRuns::Configured
                                                      : ContainerdRuns::Older;
}

/// Whether config_path stands in a file that the edit under way wrote.
bool NodeKeeper::editSetsConfigPath() const {
    if (!observed_.config.isKnown() || observed_.config.value().configPath.empty()) return false;
    const auto& files = config_.record().files;
    return std::any_of(files.begin(), files.end(), [this](const auto& file) {
        return file.path == observed_.config.value().configPathFile;
    });
}

/// Whether somebody is setting the configuration up just now; it is told then.
bool NodeKeeper::waitsForQuiet() {
    const SteadyTime now = std::chrono::steady_clock::now();
    const auto until = settling_.heldUntil(now);
    if (!until) return false;
    if (hasReason(reasons_, "ConfigSettling")) return true;
    reasons_.push_back(
        reasonOfSettling(paths_.containerdConfig, WallTime::clock::now() + (*until - now)));
    return true;
}

/// CRI refuses the configuration of before too, and not for what the edit takes out of it: then it
/// was taken back for what is not its fault. It is made again when CRI is loaded.
void NodeKeeper::absolveEdit() {
    const ConfigEditRecord& record = config_.record();
    const bool judged = record.stage == ConfigEditRecord::Stage::RolledBack && !record.restartOwed;
    if (!judged || !observed_.config.isKnown() || !observed_.cri.isKnown()) return;
    if (observed_.cri.value().refused &&
        !observed_.config.value().hasLegacyTables(observed_.version.value()))
        config_.absolve();
}

Task<void> NodeKeeper::keepConfig() {
    using Stage = ConfigEditRecord::Stage;
    const bool refused = observed_.cri.isKnown() && observed_.cri.value().refused;
    const Service service = desired_->containerd;
    const ConfigEditRecord& record = config_.record();
    const bool begun = record.stage == Stage::Applying;
    const std::string edit = record.fingerprint;
    const bool setsConfigPath = begun && editSetsConfigPath();
    const bool settled = record.files.size() < 2 || !begun || !waitsForQuiet();
    auto resume = config_.resume(service, runs(), &reasons_, settled);
    bool restarted = co_await std::move(resume);
    // Whatever another file came to say since.
    if (setsConfigPath && record.stage == Stage::None &&
        loaded_.wasStartedWith(containerd_.processId(), edit))
        loaded_.noteReadsCertsDir(containerd_.processId());
    if (begun && !restarted && record.stage == Stage::None) {
        // Half an edit may have been put back: what was observed before is no more.
        auto look = observe();
        co_await std::move(look);
    }
    if (restarted && record.stage == Stage::Applying && observed_.config.isKnown())
        loaded_.noteStarted(containerd_.processId(), observed_.config.value());
    if (!restarted && record.stage != Stage::Applying) {
        ConfigPlan plan = planConfig(*desired_, observed_, surroundings());
        for (const auto& reason : plan.reasons) reasons_.push_back(reason);
        const bool asItIs = plan.edits.empty();
        // A rollback that is not done comes first: what is on disk may be half of an edit.
        const bool owed = record.stage == Stage::RolledBack && record.restartOwed;
        const bool acts = !plan.edits.empty() || plan.restart;
        if (!owed && !(acts && waitsForQuiet())) {
            auto apply = config_.apply(std::move(plan), service, &reasons_);
            restarted = co_await std::move(apply);
        }
        if (restarted && asItIs)
            loaded_.noteStarted(containerd_.processId(), observed_.config.value());
    }
    if (restarted) {
        if (record.stage == Stage::Applying) loaded_.noteStarted(containerd_.processId(), record);
        criWasRefused_ = criWasRefused_ || refused;
        auto look = observe();
        co_await std::move(look);
        absolveEdit();
        // What the plan says of the configuration as it is now: an edit that was taken back blocks.
        if (record.stage == Stage::RolledBack)
            for (const auto& reason : planConfig(*desired_, observed_, surroundings()).reasons)
                reasons_.push_back(reason);
    }
    if (criWasRefused_ && observed_.cri.isKnown() && observed_.cri.value().ready) {
        criWasRefused_ = false;
        wantKubeletRestarted("containerd was restarted because CRI had not been loaded");
    }
}

}  // namespace nodemirror
