/// Restarts of containerd that its configuration asks for.
#include "reconcile/config_keeper.hpp"

namespace nodemirror {

namespace {

/// Nothing here can restart containerd, and the need for it does not go away.
void tellRestartNeeded(const Service& service, const std::string& problem, const std::string& why,
                       std::vector<Reason>* reasons) {
    if (hasReason(*reasons, "RestartNeeded")) return;
    reasons->push_back(makeReason(Reason::Weight::Degraded, "RestartNeeded", service.unit,
                                  "containerd needs a restart, and " + problem + ": " + why,
                                  "restart containerd, and name its unit under services"));
}

}  // namespace

/// Whether the containerd that answers was seen to live through a restart of the unit.
bool ConfigKeeper::isOutlived(const Service& service) const {
    return outlived_.process != 0 && outlived_.unit == service.unit &&
           outlived_.process == containerd_.processId();
}

/// Such a containerd is of another unit, and this one is not to be restarted for it again.
bool ConfigKeeper::isOfAnotherUnit(const Service& service, const std::string& why,
                                   std::vector<Reason>* reasons) const {
    if (!isOutlived(service)) return false;
    tellRestartNeeded(service,
                      "process " + std::to_string(outlived_.process) +
                          ", which answers on its socket, is not restarted with " + service.unit,
                      why, reasons);
    return true;
}

/// A restart of containerd that counts only where it brought another process.
Task<Restarter::Outcome> ConfigKeeper::restartContainerd(Service service, std::string why,
                                                         std::vector<Reason>* reasons) {
    using Outcome = Restarter::Outcome;
    if (isOfAnotherUnit(service, why, reasons)) co_return Outcome::Never;
    const int before = containerd_.processId();
    if (const auto config = before > 0 ? readConfig_() : ContainerdConfig(); !config) {
        reasons->push_back(makeReason(
            Reason::Weight::Blocked, "RestartWouldFail", service.unit,
            "containerd needs a restart, and may not start again: " + config.error().brief() +
                "; the restart is for this: " + why,
            config.error().remedy().empty() ? "mend containerd's configuration"
                                            : config.error().remedy()));
        co_return Outcome::NotNow;
    }
    auto restart = restarter_.restart(service, why, reasons);
    const auto outcome = co_await std::move(restart);
    if (outcome == Outcome::Never)
        tellRestartNeeded(service, service.unit + " cannot be restarted", why, reasons);
    // Where systemd itself listens for containerd it is always the same.
    if (outcome != Outcome::Restarted || before <= 1 || containerd_.processId() != before)
        co_return outcome;
    outlived_ = {service.unit, before};
    (void)isOfAnotherUnit(service, why, reasons);
    co_return Outcome::Never;
}

/// A restart with nothing edited: the configuration on disk is right, and is not in force.
Task<bool> ConfigKeeper::restartAlone(Service service, std::string why,
                                      std::vector<Reason>* reasons) {
    auto restart = restartContainerd(service, why, reasons);
    const auto outcome = co_await std::move(restart);
    if (outcome != Restarter::Outcome::Restarted) co_return false;
    auto wait = waitForCri();
    (void)co_await std::move(wait);
    co_return true;
}

/// The restart that makes containerd read the files that were put back; owed until it is done.
Task<bool> ConfigKeeper::restartOwed(Service service, std::vector<Reason>* reasons) {
    auto restart =
        restartContainerd(service, "the earlier configuration of containerd was put back", reasons);
    const auto outcome = co_await std::move(restart);
    if (outcome == Restarter::Outcome::Failed) {
        // Without the edit it does not start either.
        const Seen<ObservedUnit> unit = restarter_.observed(service.unit);
        // Restart=always makes it "activating" until the next attempt.
        if (unit.isKnown() && (unit.value().activeState == "failed" || unit.value().startsAgain))
            absolve();
    }
    if (outcome != Restarter::Outcome::Restarted) co_return false;
    record_.restartOwed = false;
    save();
    auto wait = waitForCri();
    (void)co_await std::move(wait);
    co_return true;
}

}  // namespace nodemirror
