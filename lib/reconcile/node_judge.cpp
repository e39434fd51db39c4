#include "reconcile/node_keeper.hpp"

namespace nodemirror {

void NodeKeeper::judgeCri() {
    if (observed_.cri.isKnown() && observed_.cri.value().ready) return;
    for (const auto& reason : reasons_)
        if (reason.code == "CriDisabled") return;
    Reason reason;
    const bool refused = observed_.cri.isKnown() && observed_.cri.value().refused;
    reason.weight = refused ? Reason::Weight::Blocked : Reason::Weight::Degraded;
    reason.code = refused ? "CriNotLoaded" : "CriNotReady";
    reason.subject = desired_->containerd.unit;
    reason.message = observed_.cri.isKnown() ? "CRI is not loaded: " + observed_.cri.value().error
                                             : observed_.cri.why();
    reason.remedy =
        "mend what containerd names in " + paths_.containerdConfig + " and restart containerd";
    reasons_.push_back(std::move(reason));
}

void NodeKeeper::judgeImages() {
    view_.imageErrors.clear();
    // Names that are no longer wanted are no longer waited for.
    std::set<std::string> wanted;
    for (const auto& image : view_.required)
        if (image.pause && missingPause_.count(image.name)) wanted.insert(image.name);
    missingPause_ = std::move(wanted);
    for (const auto& image : view_.required) {
        const auto& seen = observed_.images[image.name];
        if (!seen.isKnown()) continue;
        if (seen.value().resolves) {
            if (missingPause_.erase(image.name) > 0 && missingPause_.empty())
                kubeletReason_ = "the pause image " + image.name + " was missing and is back";
            continue;
        }
        if (image.pause) missingPause_.insert(image.name);
        const std::string error = images_.error(image.name);
        view_.imageErrors[image.name] = error;
        Reason reason;
        reason.code = image.pause ? "PauseImageMissing" : "ImageMissing";
        reason.subject = image.name;
        reason.message = error.empty() ? "it is being brought to the node" : error;
        reason.remedy = image.pause
                            ? "give a reachable copy in pause.sources, or mend the mirrors of its "
                              "registry"
                            : "mend the mirrors of its registry";
        reasons_.push_back(std::move(reason));
    }
}

}  // namespace nodemirror
