/// The files of an edit of containerd's configuration: kept, written, put back.
#include "base/digest.hpp"
#include "base/read_file.hpp"
#include "base/text.hpp"
#include "files/atomic_write.hpp"
#include "reconcile/config_keeper.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

namespace nodemirror {

namespace {

constexpr size_t kLargestConfig = 16U << 20;

/// The file behind symbolic links: a link that a person made stays a link.
std::string resolved(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    return real ? std::string(real.get()) : path;
}

/// Writes a configuration file with the mode that it had. `before`: what it must still hold;
/// nothing where there must be none.
Result<void> writeConfig(const std::string& path, const std::optional<std::string>& before,
                         const std::string& text) {
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
    if (before) return files::exchangeAtomically(target, *before, text, access);
    return files::writeAtomically(target, text, access, files::Existing::Keep);
}

Result<void> remove(const std::string& path) {
    const auto directory = files::openDirectory(path.substr(0, path.rfind('/') + 1));
    if (!directory) return directory.error();
    if (::unlink(path.c_str()) != 0) return Error::system("remove", path, errno);
    return files::syncDirectory(directory->get());
}

/// The file's text where it is as it was edited, or nothing; an error where that cannot be told.
Result<std::optional<std::string>> editedText(const ConfigEditRecord::File& file) {
    // Of one that somebody is writing: what would be put there would be taken away again, each time
    // waking the next try.
    auto text = readWholeFile(file.path, kLargestConfig, Writers::Anyone, Unfinished::Refuse);
    if (!text && text.error().code() == ENOENT) return std::optional<std::string>();
    if (!text) return text.error();
    if (sha256Hex(*text) != file.afterSha256) return std::optional<std::string>();
    return std::optional<std::string>(std::move(*text));
}

}  // namespace

Result<void> ConfigKeeper::keepAndWrite(const ConfigPlan& plan) {
    ConfigEditRecord record;
    record.stage = ConfigEditRecord::Stage::Applying;
    record.fingerprint = plan.fingerprint;
    record.unreadBy = loaded_.identity(containerd_.processId());
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
    ++writes_;
    for (const auto& edit : plan.edits) {
        // Somebody may have written in between: their text must not be lost.
        const auto now =
            readWholeFile(edit.path, kLargestConfig, Writers::Anyone, Unfinished::Refuse);
        if (edit.existed && !now) return now.error().during("edit", edit.path);
        if (edit.existed && *now != edit.before)
            return Error("edit", edit.path, "it changed meanwhile");
        const auto before = edit.existed ? std::optional(edit.before) : std::nullopt;
        if (const auto written = writeConfig(edit.path, before, edit.after); !written)
            return written;
        spdlog::info("file={} event=edited reason={}", inQuotes(edit.path),
                     inQuotes(plan.editReason));
    }
    return {};
}

/// A crash may have left copies beside the files, which may hold credentials.
void ConfigKeeper::removeLeftovers() const {
    for (const auto& file : record_.files) {
        const std::string target = resolved(file.path);
        files::removeLeftovers(target.substr(0, target.rfind('/') + 1));
    }
}

Result<bool> ConfigKeeper::putBack() {
    removeLeftovers();
    ++writes_;
    bool any = false;
    for (const auto& file : record_.files) {
        // Only what is still ours is taken back; a later change is somebody's own.
        const auto ours = editedText(file);
        if (!ours) return ours.error();
        if (!*ours) continue;
        if (!file.existed) {
            if (const auto removed = remove(file.path); !removed) return removed.error();
            any = true;
            continue;
        }
        const auto before = state_.loadBackup(file.backup);
        if (!before) return before.error();
        if (const auto written = writeConfig(file.path, *ours, *before); !written)
            return written.error();
        any = true;
    }
    return any;
}

bool ConfigKeeper::tookAway(const std::string& path) const {
    return record_.stage == ConfigEditRecord::Stage::RolledBack &&
           std::any_of(record_.files.begin(), record_.files.end(),
                       [&](const auto& file) { return file.path == path && !file.existed; });
}

/// A file that was taken away, and that somebody has made since, is theirs: when it is gone again
/// it is missed.
void ConfigKeeper::forgetWhatIsBack() {
    if (record_.stage != ConfigEditRecord::Stage::RolledBack || record_.restartOwed) return;
    const auto isBack = [](const ConfigEditRecord::File& file) {
        return !file.existed && ::access(file.path.c_str(), F_OK) == 0;
    };
    if (std::erase_if(record_.files, isBack) > 0) save();
}

Result<size_t> ConfigKeeper::countWritten() const {
    size_t count = 0;
    for (const auto& file : record_.files) {
        const auto ours = editedText(file);
        if (!ours) return ours.error();
        if (*ours) ++count;
    }
    return count;
}

}  // namespace nodemirror
