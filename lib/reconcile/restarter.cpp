#include "reconcile/restarter.hpp"

#include "base/text.hpp"
#include "plan/budget.hpp"

#include <spdlog/spdlog.h>

namespace nodemirror {

namespace {

constexpr size_t kRemembered = 1000;

WallTime wallNow() { return std::chrono::system_clock::now(); }

}  // namespace

Result<void> Restarter::start() {
    auto history = state_.loadRestarts();
    if (!history) {
        // A lost count must not keep the node from being defended.
        spdlog::error("msg={}", inQuotes(history.error().text()));
        return {};
    }
    history_ = std::move(*history);
    // The clock was set back: such restarts count from now on, and no longer than any other.
    const WallTime now = wallNow();
    for (auto& [unit, times] : history_)
        for (auto& time : times) time = std::min(time, now);
    return {};
}

Task<void> Restarter::observe(std::string unit) {
    auto task = units_.state(unit);
    const auto state = co_await std::move(task);
    seen_[unit] = state ? Seen<ObservedUnit>::known(*state)
                        : Seen<ObservedUnit>::unknown(state.error().text());
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

Task<Restarter::Outcome> Restarter::restart(Service service, std::string reason,
                                            std::vector<Reason>* reasons) {
    using Weight = Reason::Weight;
    const std::string unit = service.unit;
    auto look = observe(unit);
    co_await std::move(look);
    const auto& seen = seen_[unit];
    if (seen.isKnown() && !seen.value().exists) {
        if (toldMissing_.insert(unit).second)
            spdlog::warn("unit={} msg=\"there is no such unit to restart\" reason={}", unit,
                         inQuotes(reason));
        co_return Outcome::Never;
    }
    // What a person stopped stays stopped.
    if (seen.isKnown() && seen.value().activeState == "inactive") co_return Outcome::Never;
    if (!service.restart) {
        reasons->push_back(
            makeReason(Weight::Degraded, "RestartNeeded", unit,
                       unit + " needs a restart, and its restart is never: " + reason,
                       "systemctl restart " + unit));
        co_return Outcome::Never;
    }
    // What cannot be looked at is not touched.
    if (seen.isUnknown()) {
        reasons->push_back(makeReason(Weight::Degraded, "RestartNotPossible", unit, seen.why(),
                                      "systemctl restart " + unit + ", or mend D-Bus"));
        co_return Outcome::NotNow;
    }
    if (budgetLeft(unit) <= 0) {
        reasons->push_back(makeReason(Weight::Degraded, "RestartBudget", unit,
                                      unit + " needs a restart, and the budget of " +
                                          std::to_string(budget_.restarts) + " in " +
                                          formatGoDuration(budget_.per) + " is used up: " + reason,
                                      "wait, raise services.budget, or systemctl restart " + unit));
        reasons->back().until = freeAt(unit);
        co_return Outcome::NotNow;
    }
    auto& times = history_[unit];
    times.push_back(wallNow());
    if (times.size() > kRemembered) times.erase(times.begin());
    if (const auto saved = state_.saveRestarts(history_); !saved) {
        times.pop_back();
        reasons->push_back(makeReason(Weight::Degraded, "StateNotWritable", unit,
                                      saved.error().text(),
                                      "make room on the file system of the state directory"));
        co_return Outcome::Failed;
    }
    spdlog::info("unit={} event=restarting reason={}", unit, inQuotes(reason));
    auto task = units_.restart(unit);
    const RestartAnswer answer = co_await std::move(task);
    if (!answer.asked) {
        // No job was made: nothing was restarted, and nothing is charged.
        history_[unit].pop_back();
        (void)state_.saveRestarts(history_);
        reasons->push_back(makeReason(Weight::Degraded, "RestartNotPossible", unit, answer.result,
                                      "systemctl restart " + unit + ", or mend D-Bus"));
        spdlog::error("unit={} event=restart-not-possible msg={}", unit, inQuotes(answer.result));
        co_return Outcome::Failed;
    }
    Last last;
    last.at = history_[unit].back();
    last.reason = reason;
    last.result = answer.result;
    last_[unit] = last;
    auto lookAgain = observe(unit);
    co_await std::move(lookAgain);
    if (answer.result == "done") {
        spdlog::info("unit={} event=restarted", unit);
        co_return Outcome::Restarted;
    }
    reasons->push_back(makeReason(Weight::Degraded, "RestartFailed", unit,
                                  "the restart of " + unit + " ended as " + inQuotes(last.result),
                                  "journalctl -u " + unit));
    spdlog::error("unit={} event=restart-failed result={}", unit, inQuotes(last.result));
    co_return Outcome::Failed;
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
