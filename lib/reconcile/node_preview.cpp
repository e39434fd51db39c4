#include "base/diff.hpp"
#include "reconcile/node_keeper.hpp"

#include <utility>

namespace nodemirror {

namespace {

PlannedChange change(std::string subject, std::string reason) {
    PlannedChange out;
    out.subject = std::move(subject);
    out.reason = std::move(reason);
    return out;
}

}  // namespace

Task<std::vector<PlannedChange>> NodeKeeper::preview() {
    std::vector<PlannedChange> out;
    if (!desired_) co_return out;
    // A pass that is under way has the observation in hand; then the last one is shown.
    std::vector<Reason> found;
    // One that is due goes first, however many ask for previews; where there is none, this looks.
    if (!passing_ && (!triggered_ || !passed_)) {
        passing_ = true;
        const auto reachable = view_.reachable;
        auto look = observe();
        co_await std::move(look);
        judgeContainerd(&found);
        auto images = observeImages();
        co_await std::move(images);
        passing_ = false;
        // What has come or gone since the last pass is that of another one to tell.
        if (passed_ && view_.reachable != reachable) trigger();
    }
    const ConfigPlan config = planConfig(*desired_, observed_, surroundings());
    // What a pass found stands: it knows of pulls and restarts too.
    if (!passed_) {
        found.insert(found.end(), config.reasons.begin(), config.reasons.end());
        view_.reasons = std::move(found);
    }
    for (const auto& edit : config.edits) {
        PlannedChange item = change(edit.path, config.editReason);
        item.diff = unifiedDiff(edit.existed ? edit.path : "/dev/null", redactConfig(edit.before),
                                edit.path, redactConfig(edit.after));
        out.push_back(std::move(item));
    }
    if ((!config.edits.empty() || config.restart) &&
        restarter_.mayEverRestart(desired_->containerd))
        out.push_back(change("restart " + desired_->containerd.unit,
                             config.restart ? config.restartReason : "its configuration changes"));
    const ImagePlan images = planImages(view_.required, observed_);
    for (const auto& missing : images.missing)
        out.push_back(change("pull " + missing.image.name, missing.reason));
    for (const auto& pin : images.pins) out.push_back(change("pin " + pin.name, pin.reason));
    bool pause = false;
    const bool refused = observed_.cri.isKnown() && observed_.cri.value().refused;
    const bool loads = refused && (!config.edits.empty() || config.restart) &&
                       restarter_.mayEverRestart(desired_->containerd);
    if (loads && restarter_.mayEverRestart(desired_->kubelet))
        out.push_back(
            change("restart " + desired_->kubelet.unit, "CRI was not loaded; after it is back"));
    for (const auto& missing : images.missing) pause = pause || missing.image.sandbox;
    if (pause && !loads && restarter_.mayEverRestart(desired_->kubelet))
        out.push_back(change("restart " + desired_->kubelet.unit,
                             "the pause image was missing; after it is back"));
    co_return out;
}

}  // namespace nodemirror
