#include "reconcile/config_keeper.hpp"

#include "base/digest.hpp"
#include "base/read_file.hpp"
#include "base/text.hpp"
#include "files/atomic_write.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace nodemirror {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kCriStart{60};
constexpr milliseconds kPoll{100};
constexpr size_t kLargestConfig = 16U << 20;

/// The file behind symbolic links: a link that a person made stays a link.
std::string resolved(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    return real ? std::string(real.get()) : path;
}

/// Writes a configuration file with the mode that it had.
Result<void> writeConfig(const std::string& path, const std::string& text,
                         files::Existing existing = files::Existing::Replace) {
    files::Access access;
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
        access.mode = status.st_mode & 07777;
        // Only CAP_CHOWN could give a new file to another user or group, and the service has none.
        if (status.st_uid != ::geteuid() || status.st_gid != ::getegid())
            return Error("edit", path,
                         "it belongs to uid " + std::to_string(status.st_uid) + " and gid " +
                             std::to_string(status.st_gid) + ", which an edit would change",
                         "chown root:root " + path + ", or make the edit by hand");
    }
    const std::string target = resolved(path);
    if (const size_t slash = target.rfind('/'); slash != std::string::npos && slash > 0)
        ::mkdir(target.substr(0, slash).c_str(), 0755);
    return files::writeAtomically(target, text, access, existing);
}

/// A unit that does not exist cannot be restarted from here, and the need does not go away.
void tellRestartNeeded(const Service& service, const std::string& why,
                       std::vector<Reason>* reasons) {
    for (const auto& reason : *reasons)
        if (reason.code == "RestartNeeded") return;
    reasons->push_back(makeReason(
        Reason::Weight::Degraded, "RestartNeeded", service.unit,
        "containerd needs a restart, and " + service.unit + " cannot be restarted: " + why,
        "restart containerd, and name its unit under services"));
}

/// Whether the file is as it was edited; an error where that cannot be told.
Result<bool> holds(const ConfigEditRecord::File& file) {
    const auto text = readWholeFile(file.path, kLargestConfig);
    if (!text && text.error().code() == ENOENT) return false;
    if (!text) return text.error();
    return sha256Hex(*text) == file.afterSha256;
}

}  // namespace

Result<void> ConfigKeeper::start() {
    auto record = state_.loadConfigEdit();
    if (record)
        record_ = std::move(*record);
    else
        unreadable_ = record.error();
    return {};
}

void ConfigKeeper::save() {
    if (const auto saved = state_.saveConfigEdit(record_); !saved)
        spdlog::error("msg={}", inQuotes(saved.error().text()));
}

Task<CriState> ConfigKeeper::waitForCri() {
    boost::asio::steady_timer timer(io_);
    const auto end = std::chrono::steady_clock::now() + kCriStart;
    CriState last;
    last.error = "containerd did not answer after its restart";
    while (true) {
        auto ask = containerd_.criState();
        const auto state = co_await std::move(ask);
        if (state) last = *state;
        if (state && (state->ready || state->refused)) co_return last;
        if (!state) last.error = state.error().text();
        if (std::chrono::steady_clock::now() >= end) co_return last;
        timer.expires_after(kPoll);
        auto wait = timer.async_wait(boost::asio::use_awaitable);
        co_await std::move(wait);
    }
}

Result<void> ConfigKeeper::keepAndWrite(const ConfigPlan& plan) {
    ConfigEditRecord record;
    record.stage = ConfigEditRecord::Stage::Applying;
    record.fingerprint = plan.fingerprint;
    for (const auto& edit : plan.edits) {
        ConfigEditRecord::File file;
        file.path = edit.path;
        file.existed = edit.existed;
        file.afterSha256 = sha256Hex(edit.after);
        file.backup = "containerd-config" + StateDir::backupName(edit.path);
        if (edit.existed)
            if (const auto kept = state_.storeBackup(file.backup, edit.before); !kept) return kept;
        record.files.push_back(std::move(file));
    }
    if (const auto saved = state_.saveConfigEdit(record); !saved) return saved;
    record_ = std::move(record);
    for (const auto& edit : plan.edits) {
        // Somebody may have written in between: their text must not be lost.
        const auto now = readWholeFile(edit.path, kLargestConfig);
        if (edit.existed && (!now || *now != edit.before))
            return Error("edit", edit.path, "it changed meanwhile");
        const auto existing = edit.existed ? files::Existing::Replace : files::Existing::Keep;
        if (const auto written = writeConfig(edit.path, edit.after, existing); !written)
            return written;
        spdlog::info("file={} event=edited reason={}", edit.path, inQuotes(plan.editReason));
    }
    return {};
}

Result<void> ConfigKeeper::putBack() {
    for (const auto& file : record_.files) {
        // Only what is still ours is taken back; a later change is somebody's own.
        const auto ours = holds(file);
        if (!ours) return ours.error();
        if (!*ours) continue;
        if (!file.existed) {
            if (::unlink(file.path.c_str()) != 0) return Error::system("remove", file.path, errno);
            continue;
        }
        const auto before = state_.loadBackup(file.backup);
        if (!before) return before.error();
        if (const auto written = writeConfig(file.path, *before); !written) return written;
    }
    return {};
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
    if (const auto back = putBack(); !back) {
        tellNotPutBack(back.error(), reasons);
        co_return;
    }
    record_.stage = ConfigEditRecord::Stage::RolledBack;
    record_.error = error;
    record_.restartOwed = true;
    save();
    auto restart = restartOwed(service, reasons);
    (void)co_await std::move(restart);
}

/// The restart that makes containerd read the files that were put back; owed until it is done.
Task<bool> ConfigKeeper::restartOwed(Service service, std::vector<Reason>* reasons) {
    auto restart = restarter_.restart(
        service, "the earlier configuration of containerd was put back", reasons);
    const auto outcome = co_await std::move(restart);
    if (outcome != Restarter::Outcome::Restarted) co_return false;
    record_.restartOwed = false;
    save();
    auto wait = waitForCri();
    (void)co_await std::move(wait);
    co_return true;
}

/// Restarts containerd and wants CRI to answer.
Task<bool> ConfigKeeper::prove(Service service, std::string reason, std::vector<Reason>* reasons) {
    const int before = containerd_.processId();
    auto restart = restarter_.restart(service, reason, reasons);
    const auto outcome = co_await std::move(restart);
    // What the old process answers proves nothing of the new configuration.
    const int after = containerd_.processId();
    if (outcome == Restarter::Outcome::Failed && (after == 0 || after == before)) co_return false;
    if (outcome == Restarter::Outcome::NotNow || outcome == Restarter::Outcome::Never) {
        // Never: a person restarts it. Not now: the edit waits on disk for the budget.
        if (outcome == Restarter::Outcome::Never) {
            tellRestartNeeded(service, reason, reasons);
            record_ = ConfigEditRecord();
            save();
        }
        co_return false;
    }
    auto wait = waitForCri();
    const CriState cri = co_await std::move(wait);
    if (cri.ready) {
        record_ = ConfigEditRecord();
        save();
        spdlog::info("event=configured msg=\"CRI is loaded with the new configuration\"");
        co_return true;
    }
    auto back = takeBack(service, cri.error, reasons);
    co_await std::move(back);
    co_return true;
}

Task<bool> ConfigKeeper::apply(ConfigPlan plan, Service service, std::vector<Reason>* reasons) {
    if (plan.edits.empty()) {
        if (!plan.restart) co_return false;
        auto restart = restarter_.restart(service, plan.restartReason, reasons);
        const auto outcome = co_await std::move(restart);
        if (outcome == Restarter::Outcome::Never)
            tellRestartNeeded(service, plan.restartReason, reasons);
        if (outcome != Restarter::Outcome::Restarted) co_return false;
        auto wait = waitForCri();
        (void)co_await std::move(wait);
        co_return true;
    }
    if (unreadable_) {
        reasons->push_back(makeReason(
            Reason::Weight::Blocked, "StateUnreadable", unreadable_->object(),
            "an edit of containerd's configuration may be half done: " + unreadable_->brief(),
            "compare the configuration with " + state_.path() + "/backups, remove " +
                unreadable_->object() + ", and restart nodemirrord"));
        co_return false;
    }
    // Room for the restart, and for a second one should the edit have to be taken back.
    const int needed = std::min(2, restarter_.budget().restarts);
    const int left = restarter_.budgetLeft(service.unit);
    if (service.restart && (left < needed || left <= 0)) {
        Reason reason;
        reason.code = "RestartBudget";
        reason.subject = service.unit;
        reason.message =
            "the configuration is to be edited, which needs restarts that the budget "
            "does not allow now: " +
            plan.editReason;
        reason.remedy = "wait, or raise services.budget";
        reason.until = restarter_.freeAt(service.unit, std::max(needed, 1));
        reasons->push_back(std::move(reason));
        co_return false;
    }
    if (const auto written = keepAndWrite(plan); !written) {
        spdlog::error("msg={}", inQuotes(written.error().text()));
        Reason reason;
        reason.code = "ConfigNotWritten";
        reason.message = written.error().text();
        reason.remedy = written.error().remedy();
        reasons->push_back(std::move(reason));
        if (const auto back = putBack(); back) {
            record_ = ConfigEditRecord();
            save();
        }
        co_return false;
    }
    auto proof = prove(service, plan.editReason, reasons);
    co_return co_await std::move(proof);
}

Task<bool> ConfigKeeper::resume(Service service, bool runsConfig, std::vector<Reason>* reasons) {
    if (record_.stage == ConfigEditRecord::Stage::RolledBack && record_.restartOwed) {
        auto restart = restartOwed(service, reasons);
        co_return co_await std::move(restart);
    }
    if (record_.stage != ConfigEditRecord::Stage::Applying) co_return false;
    bool written = !record_.files.empty();
    for (const auto& file : record_.files) {
        const auto ours = holds(file);
        if (!ours) {
            tellNotPutBack(ours.error(), reasons);
            co_return false;
        }
        written = written && *ours;
    }
    if (!written) {
        // Some files may hold the edit and others not: back to what was there before all of it.
        if (const auto back = putBack(); !back) {
            tellNotPutBack(back.error(), reasons);
            co_return false;
        }
        record_ = ConfigEditRecord();
        save();
        co_return false;
    }
    if (runsConfig) {
        auto wait = waitForCri();
        const CriState cri = co_await std::move(wait);
        if (cri.ready) {
            record_ = ConfigEditRecord();
            save();
            co_return false;
        }
        auto back = takeBack(service, cri.error, reasons);
        co_await std::move(back);
        co_return true;
    }
    auto proof = prove(service, "containerd has not read its edited configuration yet", reasons);
    co_return co_await std::move(proof);
}

}  // namespace nodemirror
