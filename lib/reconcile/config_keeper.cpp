#include "reconcile/config_keeper.hpp"

#include "base/text.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace nodemirror {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{100};
constexpr char kDoesNotStart[] = "containerd does not start with it";

/// Whether a unit fails to start: it gave up, or waits for the next attempt, or made another one
/// since `before`. One process that takes its time, what comes before it (ExecStartPre), and a
/// restart by a person are something else.
bool failsToStart(const Seen<ObservedUnit>& before, const Seen<ObservedUnit>& now) {
    if (!now.isKnown()) return false;
    const bool again = before.isKnown() && now.value().startedAgain > before.value().startedAgain;
    return now.value().activeState == "failed" || now.value().startsAgain || again;
}

}  // namespace

void ConfigKeeper::readRecord() {
    auto record = state_.loadConfigEdit();
    unreadable_ = record ? std::nullopt : std::optional(record.error());
    if (record) record_ = std::move(*record);
}

void ConfigKeeper::save() {
    if (const auto saved = state_.saveConfigEdit(record_); !saved)
        spdlog::error("msg={}", inQuotes(saved.error().text()));
}

Task<Result<CriState>> ConfigKeeper::waitForCri() {
    boost::asio::steady_timer timer(io_);
    const auto end = std::chrono::steady_clock::now() + criStart_;
    while (true) {
        auto ask = containerd_.criState();
        auto state = co_await std::move(ask);
        if (state && (state->ready || state->refused)) co_return state;
        if (std::chrono::steady_clock::now() >= end) co_return state;
        timer.expires_after(kPoll);
        auto wait = timer.async_wait(boost::asio::use_awaitable);
        co_await std::move(wait);
    }
}

void ConfigKeeper::tellNotPutBack(const Error& error, std::vector<Reason>* reasons) const {
    spdlog::error("msg={}", inQuotes(error.text()));
    reasons->push_back(makeReason(Reason::Weight::Blocked, "RollbackFailed", error.object(),
                                  error.text(),
                                  "put the file back by hand from " + state_.path() + "/backups"));
}

Task<void> ConfigKeeper::takeBack(Service service, std::string error,
                                  std::vector<Reason>* reasons) {
    spdlog::error("event=rolling-back msg={}", inQuotes(error));
    // Before the files: a crash in between must not leave containerd down with nobody to start it.
    record_.stage = ConfigEditRecord::Stage::RolledBack;
    record_.error = error;
    record_.restartOwed = true;
    // What somebody changed since may be what containerd refused.
    if (const auto written = countWritten(); written && *written < record_.files.size())
        record_.fingerprint.clear();
    save();
    if (const auto back = putBack(); !back) {
        tellNotPutBack(back.error(), reasons);
        co_return;
    }
    restarter_.forgetFailures(service.unit);
    auto restart = restartOwed(service, reasons);
    (void)co_await std::move(restart);
}

/// containerd was started with the edit: its CRI decides. One that is not ready yet may have
/// sandboxes to take up, and a containerd that is away may have been stopped by a person: neither
/// says anything against the edit, which is judged later.
Task<bool> ConfigKeeper::judge(Service service, ContainerdRuns runs, std::vector<Reason>* reasons) {
    const Seen<ObservedUnit> unit = restarter_.observed(service.unit);
    auto wait = waitForCri();
    const auto cri = co_await std::move(wait);
    // Which process this is, and whether it has read the edit, the next pass knows.
    if (cri && runs == ContainerdRuns::Nothing) co_return false;
    if (cri && cri->ready) {
        proven_.push_back(std::chrono::steady_clock::now());
        lastEdited_ = record_.files.empty() ? "" : record_.files.front().path;
        loaded_.noteStarted(containerd_.processId(), record_);
        record_ = ConfigEditRecord();
        save();
        spdlog::info("event=configured msg=\"CRI is loaded with the new configuration\"");
        co_return false;
    }
    std::string problem = cri && cri->refused ? cri->error : "";
    if (!cri) {
        auto look = restarter_.observe(service.unit);
        co_await std::move(look);
        if (failsToStart(unit, restarter_.observed(service.unit))) problem = kDoesNotStart;
    }
    if (problem.empty()) {
        spdlog::warn("event=unproven msg={}",
                     inQuotes("CRI takes its time: " + (cri ? cri->error : cri.error().text())));
        co_return false;
    }
    auto back = takeBack(service, problem, reasons);
    co_await std::move(back);
    co_return true;
}

/// Restarts containerd and wants CRI to answer.
Task<bool> ConfigKeeper::prove(Service service, std::string reason, std::vector<Reason>* reasons) {
    using Outcome = Restarter::Outcome;
    const int before = containerd_.processId();
    auto restart = restartContainerd(service, reason, reasons);
    const auto outcome = co_await std::move(restart);
    switch (outcome) {
        // The edit waits on disk; what runs at the next look, whoever started it, is judged.
        case Outcome::NotNow:
        case Outcome::Never:
        case Outcome::Unclear: co_return false;
        case Outcome::Failed: {
            // What the old process answers proves nothing of the new configuration.
            const int after = containerd_.processId();
            const Seen<ObservedUnit> unit = restarter_.observed(service.unit);
            if (unit.isUnknown() || (after != 0 && after == before)) co_return false;
            const std::string state = unit.value().activeState;
            if (state == "failed" || state == "activating") {
                auto back = takeBack(service, kDoesNotStart, reasons);
                co_await std::move(back);
                co_return true;
            }
            if (state != "active") co_return false;  // a person stopped it
            break;
        }
        case Outcome::Restarted: break;
    }
    auto judged = judge(service, ContainerdRuns::Configured, reasons);
    (void)co_await std::move(judged);
    co_return true;
}

/// What stands against an edit, or against its proof; nothing where it may be made.
std::optional<Reason> ConfigKeeper::refusal(const std::string& why, const Service& service) {
    if (unreadable_)
        return makeReason(
            Reason::Weight::Blocked, "StateUnreadable", unreadable_->object(),
            "an edit of containerd's configuration may be half done: " + unreadable_->brief(),
            unreadable_->transient() ? "it is read again by itself"
                                     : "compare the configuration with " + state_.path() +
                                           "/backups, and remove " + unreadable_->object());
    // Room for the restart, and for a second one should the edit have to be taken back.
    constexpr int kNeeded = 2;
    // Where nothing is restarted from here, no restart is waited for.
    if (!restarter_.mayEverRestart(service) || isOutlived(service) ||
        restarter_.budgetLeft(service.unit) >= kNeeded)
        return std::nullopt;
    const bool ever = restarter_.budget().restarts >= kNeeded;
    Reason reason = makeReason(
        Reason::Weight::Degraded, "RestartBudget", service.unit,
        "an edit of the configuration needs two restarts, one that loads it and one should it have "
        "to be taken back, and the budget has not as many" +
            std::string(ever ? " left: " : ": ") + why,
        ever ? "wait, or raise services.budget" : "set services.budget.restarts to 2 or more");
    reason.until = restarter_.freeAt(service.unit, kNeeded);
    return reason;
}

Task<bool> ConfigKeeper::apply(ConfigPlan plan, Service service, std::vector<Reason>* reasons) {
    if (plan.edits.empty()) {
        if (!plan.restart) co_return false;
        auto restart = restartAlone(service, plan.restartReason, reasons);
        co_return co_await std::move(restart);
    }
    auto look = restarter_.observe(service.unit);
    co_await std::move(look);
    if (auto refused = refusal(plan.editReason, service)) {
        reasons->push_back(std::move(*refused));
        co_return false;
    }
    if (onEdit_) onEdit_();
    if (const auto written = keepAndWrite(plan); !written) {
        spdlog::error("msg={}", inQuotes(written.error().text()));
        reasons->push_back(makeReason(Reason::Weight::Degraded, "ConfigNotWritten",
                                      written.error().object(), written.error().brief(),
                                      written.error().remedy()));
        // Where not even the record could be made, an earlier one stands, and is not to be lost.
        const bool begun = record_.stage == ConfigEditRecord::Stage::Applying;
        if (begun && putBack()) {
            record_ = ConfigEditRecord();
            save();
        }
        co_return false;
    }
    restarter_.forgetFailures(service.unit);
    if (loaded_.wasStartedWith(containerd_.processId(), plan.fingerprint)) {
        // Somebody undid it and restarted nothing: what runs has these very texts.
        auto judged = judge(service, ContainerdRuns::Configured, reasons);
        co_return co_await std::move(judged);
    }
    auto proof = prove(service, plan.editReason, reasons);
    co_return co_await std::move(proof);
}

/// An edit of which only a part stands is put back, and forgotten. True where it stands whole.
bool ConfigKeeper::standsWhole(const Service& service, bool settled, std::vector<Reason>* reasons) {
    removeLeftovers();
    const auto written = countWritten();
    if (!written) {
        tellNotPutBack(written.error(), reasons);
        return false;
    }
    if (*written > 0 && *written == record_.files.size()) return true;
    if (*written > 0) {
        // Not before it can be made anew: half of it may be what keeps CRI loaded.
        if (!settled) return false;
        if (auto refused = refusal("somebody changed a part of the last edit", service)) {
            reasons->push_back(std::move(*refused));
            return false;
        }
        if (const auto back = putBack(); !back) {
            tellNotPutBack(back.error(), reasons);
            return false;
        }
    }
    record_ = ConfigEditRecord();
    save();
    return false;
}

void ConfigKeeper::absolve() {
    record_.fingerprint.clear();
    save();
}

/// An edit that has to be made again and again is one that somebody undoes: a restart each time.
void ConfigKeeper::tellContest(std::vector<Reason>* reasons) {
    constexpr size_t kOften = 3;
    const auto now = std::chrono::steady_clock::now();
    while (!proven_.empty() && proven_.front() < now - std::chrono::hours(24)) proven_.pop_front();
    if (proven_.size() < kOften) return;
    // One that has stood for a while may stay: then it is worth a note.
    const bool stands = proven_.back() < now - std::chrono::hours(1);
    reasons->push_back(makeReason(
        stands ? Reason::Weight::Note : Reason::Weight::Degraded, "ConfigContested", lastEdited_,
        "containerd's configuration was edited " + std::to_string(proven_.size()) +
            " times in a day: somebody writes it anew without what it needs",
        "make the change in what writes the file; nodemirrord --dry-run shows it after "
        "it was undone"));
}

Task<bool> ConfigKeeper::resume(Service service, ContainerdRuns runs, std::vector<Reason>* reasons,
                                bool settled) {
    if (unreadable_) readRecord();
    forgetWhatIsBack();
    tellContest(reasons);
    if (record_.stage == ConfigEditRecord::Stage::RolledBack && record_.restartOwed) {
        const auto back = putBack();
        if (!back) {
            tellNotPutBack(back.error(), reasons);
            co_return false;
        }
        // Until now the edit stood there, and what was started after it has read that.
        if (*back && runs == ContainerdRuns::Configured) runs = ContainerdRuns::Older;
    }
    EditStep step = planResumption(record_, runs, restarter_.observed(service.unit));
    // Of one that is under way.
    if (step == EditStep::TakeBack || step == EditStep::Judge || step == EditStep::Prove)
        if (!standsWhole(service, settled, reasons)) step = EditStep::Nothing;
    switch (step) {
        case EditStep::Nothing: co_return false;
        case EditStep::NoteRestarted:
            record_.restartOwed = false;
            save();
            co_return false;
        case EditStep::RestartOwed: {
            auto restart = restartOwed(service, reasons);
            co_return co_await std::move(restart);
        }
        case EditStep::TakeBack: {
            auto back = takeBack(service, kDoesNotStart, reasons);
            co_await std::move(back);
            co_return true;
        }
        case EditStep::Judge: {
            auto judged = judge(service, runs, reasons);
            co_return co_await std::move(judged);
        }
        case EditStep::Prove: {
            auto proof = proveOfBefore(service, reasons);
            co_return co_await std::move(proof);
        }
    }
    co_return false;
}

/// Of an edit that was written before: nothing may stand against its proof by now.
Task<bool> ConfigKeeper::proveOfBefore(Service service, std::vector<Reason>* reasons) {
    auto look = restarter_.observe(service.unit);
    co_await std::move(look);
    const std::string why = "containerd has not read its edited configuration yet";
    if (auto refused = refusal(why, service)) {
        reasons->push_back(std::move(*refused));
        co_return false;
    }
    auto task = prove(service, why, reasons);
    co_return co_await std::move(task);
}

}  // namespace nodemirror
