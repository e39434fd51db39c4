#include "reconcile/restarter.hpp"

#include "base/text.hpp"
#include "plan/budget.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace nodemirror {

namespace {

constexpr size_t kRemembered = 1000;
/// A unit that does not start is not started in a loop, which would use up the budget in a second.
/// The first pause is longer than the interval of systemd's own limit of starts (10 s), the others
/// are twice as long each.
constexpr std::chrono::seconds kAfterFailure{15};
constexpr std::chrono::seconds kAfterFailureAtMost{300};

WallTime wallNow() { return std::chrono::system_clock::now(); }

}  // namespace

void Restarter::start() {
    auto history = state_.loadRestarts();
    if (!history) {
        // A lost count must not keep the node from being defended.
        spdlog::error("msg={}", inQuotes(history.error().text()));
        return;
    }
    history_ = std::move(*history);
}

/// Where the clock was set back, restarts of a time to come count from now on, and no longer than
/// any other. Those of the next period stay: a clock that is late at boot is set forward soon.
void Restarter::bringToNow() {
    const WallTime now = wallNow();
    for (auto& [unit, times] : history_)
        for (auto& time : times)
            if (time - budget_.per > now) time = now;
}

Task<void> Restarter::observe(std::string unit) {
    bringToNow();
    auto task = units_.state(unit);
    const auto state = co_await std::move(task);
    seen_[unit] = state ? Seen<ObservedUnit>::known(*state)
                        : Seen<ObservedUnit>::unknown(state.error().text());
}

bool Restarter::mayEverRestart(const Service& service) {
    const auto& seen = seen_[service.unit];
    const bool never =
        seen.isKnown() && (!seen.value().exists || seen.value().activeState == "inactive");
    return service.restart && !never;
}

int Restarter::budgetLeft(const std::string& unit) const {
    const auto found = history_.find(unit);
    static const std::vector<WallTime> kNone;
    return nodemirror::budgetLeft(budget_, found == history_.end() ? kNone : found->second,
                                  wallNow());
}

WallTime Restarter::freeAt(const std::string& unit, int needed) const {
    const auto found = history_.find(unit);
    static const std::vector<WallTime> kNone;
    return budgetFreeAt(budget_, found == history_.end() ? kNone : found->second, wallNow(),
                        needed);
}

/// What stands against a restart; nothing where it may be asked for.
std::optional<Restarter::Outcome> Restarter::refusal(const Service& service, const std::string& why,
                                                     std::vector<Reason>* reasons) {
    const std::string& unit = service.unit;
    const auto& seen = seen_[unit];
    const auto tell = [&](const char* code, const std::string& message, const std::string& remedy) {
        reasons->push_back(makeReason(Reason::Weight::Degraded, code, unit, message, remedy));
    };
    const std::string byHand = "systemctl restart " + unit;
    if (seen.isKnown() && !seen.value().exists) {
        if (toldMissing_.insert(unit).second)
            spdlog::warn("unit={} msg=\"there is no such unit to restart\" reason={}", unit,
                         inQuotes(why));
        return Outcome::Never;
    }
    // What a person stopped stays stopped.
    if (seen.isKnown() && seen.value().activeState == "inactive") return Outcome::Never;
    if (!service.restart) {
        tell("RestartNeeded", unit + " needs a restart, and its restart is never: " + why, byHand);
        return Outcome::Never;
    }
    // What cannot be looked at is not touched.
    if (seen.isUnknown()) {
        tell("RestartNotPossible", seen.why(), byHand + ", or mend D-Bus");
        return Outcome::NotNow;
    }
    const auto failing = failing_.find(unit);
    const auto now = std::chrono::steady_clock::now();
    if (failing != failing_.end() && now < failing->second.retryAt) {
        tell("RestartFailed", failing->second.message, "journalctl -u " + unit);
        reasons->back().until = wallNow() + (failing->second.retryAt - now);
        return Outcome::NotNow;
    }
    if (budgetLeft(unit) > 0) return std::nullopt;
    tell("RestartBudget",
         unit + " needs a restart, and the budget of " + std::to_string(budget_.restarts) + " in " +
             formatGoDuration(budget_.per) + " is used up: " + why,
         "wait, raise services.budget, or " + byHand);
    reasons->back().until = freeAt(unit);
    return Outcome::NotNow;
}

void Restarter::noteFailure(const std::string& unit, const std::string& message) {
    Failing& failing = failing_[unit];
    failing.retryAt = std::chrono::steady_clock::now() +
                      backoff(kAfterFailure, failing.failures, kAfterFailureAtMost);
    failing.message = message;
    ++failing.failures;
}

/// Counts a restart before it is asked for: a crash must not make it free.
Result<void> Restarter::charge(const std::string& unit) {
    auto& times = history_[unit];
    times.push_back(wallNow());
    if (times.size() > kRemembered) times.erase(times.begin());
    const auto saved = state_.saveRestarts(history_);
    if (!saved) times.pop_back();
    return saved;
}

/// No job was made: nothing was restarted, and nothing is charged.
void Restarter::refund(const std::string& unit) {
    history_[unit].pop_back();
    (void)state_.saveRestarts(history_);
}

Task<Restarter::Outcome> Restarter::restart(Service service, std::string why,
                                            std::vector<Reason>* reasons) {
    const std::string unit = service.unit;
    const auto failed = [&](const char* code, const std::string& message,
                            const std::string& remedy) {
        reasons->push_back(makeReason(Reason::Weight::Degraded, code, unit, message, remedy));
        spdlog::error("unit={} event=restart-failed msg={}", unit, inQuotes(message));
    };
    auto look = observe(unit);
    co_await std::move(look);
    if (const auto refused = refusal(service, why, reasons)) co_return *refused;
    if (const auto charged = charge(unit); !charged) {
        failed("StateNotWritable", charged.error().text(),
               "make room on the file system of the state directory");
        co_return Outcome::NotNow;
    }
    spdlog::info("unit={} event=restarting reason={}", unit, inQuotes(why));
    if (onRestart_) onRestart_(unit, why);
    auto task = units_.restart(unit);
    const RestartAnswer answer = co_await std::move(task);
    if (answer.end == RestartAnswer::End::NotAsked) {
        refund(unit);
        failed("RestartNotPossible", answer.result,
               "systemctl restart " + unit + ", or mend D-Bus");
        co_return Outcome::NotNow;
    }
    Last last;
    last.at = history_[unit].back();
    last.reason = why;
    last.result = answer.result;
    last_[unit] = last;
    auto lookAgain = observe(unit);
    co_await std::move(lookAgain);
    if (answer.end != RestartAnswer::End::Done) {
        const std::string message =
            "the restart of " + unit + " ended as " + inQuotes(answer.result);
        noteFailure(unit, message);
        failed("RestartFailed", message, "journalctl -u " + unit);
        co_return answer.end == RestartAnswer::End::Failed ? Outcome::Failed : Outcome::Unclear;
    }
    failing_.erase(unit);
    spdlog::info("unit={} event=restarted", unit);
    co_return Outcome::Restarted;
}

UnitView Restarter::view(const std::string& unit) const {
    UnitView view;
    view.unit = unit;
    if (const auto seen = seen_.find(unit); seen != seen_.end()) view.observed = seen->second;
    if (const auto times = history_.find(unit); times != history_.end())
        view.restarts = times->second.size();
    if (const auto last = last_.find(unit); last != last_.end()) {
        view.lastAt = last->second.at;
        view.lastReason = last->second.reason;
        view.lastResult = last->second.result;
    } else if (const auto times = history_.find(unit);
               times != history_.end() && !times->second.empty()) {
        view.lastAt = times->second.back();
    }
    view.budgetLeft = budgetLeft(unit);
    return view;
}

}  // namespace nodemirror
