/// Carries out what was planned for a registry: claims, writes, gives back.
#include "base/text.hpp"
#include "files/entries.hpp"
#include "files/writers.hpp"
#include "hosts_toml/reader.hpp"
#include "reconcile/registry_keeper.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace nodemirror {

namespace {

constexpr size_t kDigestsKept = 4;
/// How many files wait for the disk together.
constexpr size_t kAtOnce = 4096;

BackedUpEntry backupOf(const std::string& path, const ObservedEntry& entry) {
    BackedUpEntry out;
    out.path = path;
    out.mode = entry.mode;
    out.uid = entry.uid;
    out.gid = entry.gid;
    if (entry.type == ObservedEntry::Type::Symlink) {
        out.type = BackedUpEntry::Type::Symlink;
        out.stored = entry.target;
    } else {
        out.type = BackedUpEntry::Type::File;
        out.stored = StateDir::backupName(path);
        out.sha256 = entry.sha256;
    }
    return out;
}

/// A file of another user or group is kept as it is, beside the new one: a copy could not be given
/// back to them.
BackedUpEntry asideOf(const std::string& path, const ObservedEntry& entry,
                      const std::string& name) {
    BackedUpEntry out;
    out.path = path;
    out.type = BackedUpEntry::Type::Aside;
    out.mode = entry.mode;
    out.uid = entry.uid;
    out.gid = entry.gid;
    out.stored = path.substr(0, path.rfind('/') + 1) + name;
    return out;
}

}  // namespace

Result<void> RegistryKeeper::keepEarlier(const Step& step, Ownership& ownership) {
    const ObservedRegistry& observed = step.observed.value();
    const auto& place = observed.directory;
    // Another user's directory is set aside whole when the new one takes its place.
    const bool replaced = place.type == ObservedEntry::Type::Directory && place.uid != ::geteuid();
    if (replaced && std::holds_alternative<WriteHosts>(step.action)) return {};
    const auto keep = [&](const std::string& path, const ObservedEntry& entry) -> Result<void> {
        using Type = ObservedEntry::Type;
        if (entry.tooLarge)
            return Error("keep a copy of", path, "it is larger than 4 MiB", "move it away");
        if (entry.type != Type::File && entry.type != Type::Symlink) return {};
        const bool own = path != step.directory && std::holds_alternative<WriteHosts>(step.action);
        if (own && entry.type == Type::File && files::isForeign(entry.uid, entry.gid)) {
            ownership.backups.push_back(asideOf(path, entry, tree_.nameToKeep(step.directory)));
            return {};
        }
        if (entry.unreadable)
            return Error("keep a copy of", path,
                         "it is uid " + std::to_string(entry.uid) + "'s, who lets nobody read it",
                         "chown root:root " + tree_.root() + "/" + path);
        BackedUpEntry backup = backupOf(path, entry);
        if (backup.type == BackedUpEntry::Type::File)
            if (const auto stored = state_.storeBackup(backup.stored, entry.content); !stored)
                return stored;
        ownership.backups.push_back(std::move(backup));
        return {};
    };
    if (const auto kept = keep(step.directory, observed.directory); !kept) return kept;
    return keep(step.directory + "/hosts.toml", observed.hosts);
}

/// Records in the manifest, before anything is changed, what is about to be owned.
Result<void> RegistryKeeper::claim(Step& step) {
    if (std::holds_alternative<ReleaseHosts>(step.action)) return {};
    const auto known = manifest_.find(step.directory);
    Ownership ownership;
    if (known != manifest_.end()) {
        ownership = known->second;
        step.ownedBefore = known->second;
    }
    // A file that comes back after it was pruned is somebody's newest word: it is kept instead.
    const bool prunedAgain = ownership.pruned && std::holds_alternative<PruneHosts>(step.action);
    if (prunedAgain) ownership.backups.clear();
    if (known == manifest_.end() || prunedAgain) {
        if (const auto kept = keepEarlier(step, ownership); !kept) return kept;
        manifestDirty_ = true;
    }
    ownership.directory = step.directory;
    const auto* write = std::get_if<WriteHosts>(&step.action);
    ownership.pruned = write == nullptr;
    if (write != nullptr &&
        (ownership.digests.empty() || ownership.digests.front() != write->sha256)) {
        auto& digests = ownership.digests;
        digests.erase(std::remove(digests.begin(), digests.end(), write->sha256), digests.end());
        digests.insert(digests.begin(), write->sha256);
        if (digests.size() > kDigestsKept) digests.resize(kDigestsKept);
        manifestDirty_ = true;
    }
    if (known == manifest_.end() || known->second.pruned != ownership.pruned) manifestDirty_ = true;
    manifest_[step.directory] = std::move(ownership);
    return {};
}

/// Under which name in its directory the earlier hosts.toml is kept; empty where it is not.
std::string RegistryKeeper::keptName(const std::string& directory) const {
    for (const auto& entry : manifest_.at(directory).backups)
        if (entry.type == BackedUpEntry::Type::Aside && entry.path == directory + "/hosts.toml")
            return entry.stored.substr(entry.stored.rfind('/') + 1);
    return "";
}

Result<void> RegistryKeeper::write(const WriteHosts& action) {
    const auto aside = tree_.write(action.directory, action.rendered.text, action.mode,
                                   keptName(action.directory));
    if (!aside) return aside.error();
    if (!aside->empty()) {
        spdlog::warn("registry={} msg=\"a directory stood in the way and was set aside\" aside={}",
                     action.registry, inQuotes(*aside));
        if (action.takesOver) {
            const bool inner = aside->find('/') != std::string::npos;
            BackedUpEntry entry;
            entry.path = action.directory + (inner ? "/hosts.toml" : "");
            entry.type = BackedUpEntry::Type::Aside;
            entry.stored = *aside;
            manifest_[action.directory].backups.push_back(std::move(entry));
            manifestDirty_ = true;
        }
    }
    return {};
}

Result<void> RegistryKeeper::release(const ReleaseHosts& action) {
    const Ownership ownership = manifest_[action.directory];
    if (!action.leaveFile) {
        if (ownership.backups.empty() && !ownership.pruned)
            if (const auto removed = tree_.remove(action.directory); !removed) return removed;
        for (const auto& entry : ownership.backups) {
            std::string content;
            if (entry.type == BackedUpEntry::Type::File) {
                auto stored = state_.loadBackup(entry.stored);
                if (!stored) return stored.error();
                content = std::move(*stored);
            }
            if (entry.path == action.directory)
                if (const auto removed = tree_.remove(action.directory); !removed) return removed;
            if (const auto restored = tree_.restore(entry, content); !restored) return restored;
        }
        // Only once the manifest no longer names them: a crash in between must find them.
        for (const auto& entry : ownership.backups)
            if (entry.type == BackedUpEntry::Type::File) obsolete_.push_back(entry.stored);
    }
    manifest_.erase(action.directory);
    manifestDirty_ = true;
    return {};
}

Result<void> RegistryKeeper::prune(const PruneHosts& action) {
    return tree_.remove(action.directory);
}

void RegistryKeeper::failed(const std::string& directory, const Error& error, const Now& now) {
    Track& track = tracks_[directory];
    track.state = RegistryState::Drifted;
    track.problem = error.text();
    track.failures = std::min(track.failures + 1, 6);
    track.retryAt = now.steady + std::chrono::seconds(1) * (1 << track.failures);
    spdlog::error("directory={} msg={}", inQuotes(directory), inQuotes(error.text()));
}

void RegistryKeeper::tellContest(Track& track) const {
    track.problem = "somebody keeps changing it: " + track.contestTold +
                    (track.writers.empty() ? "" : "; " + track.writers);
}

void RegistryKeeper::setWriters(const std::string& directory, const std::string& writers) {
    const auto track = tracks_.find(directory);
    // Who was seen stays named: at the next look the process may be between two of its turns.
    if (track == tracks_.end() || !track->second.contest.contested() || writers.empty()) return;
    track->second.writers = writers;
    tellContest(track->second);
}

/// First files of registries whose directories are not there: many at once wait for the disk once.
std::map<std::string, Result<void>> RegistryKeeper::writeFresh(
    const std::vector<std::pair<const Step*, bool>>& claimed) {
    std::vector<files::CertsTree::Fresh> fresh;
    for (const auto& [step, repeated] : claimed) {
        const auto* write = std::get_if<WriteHosts>(&step->action);
        if (write == nullptr ||
            step->observed.value().directory.type != ObservedEntry::Type::Absent)
            continue;
        fresh.push_back({step->directory, write->rendered.text, write->mode});
    }
    std::map<std::string, Result<void>> out;
    for (size_t begin = 0; fresh.size() > 1 && begin < fresh.size(); begin += kAtOnce) {
        const auto from = fresh.begin() + static_cast<ptrdiff_t>(begin);
        const std::vector<files::CertsTree::Fresh> part(
            from, from + static_cast<ptrdiff_t>(std::min(kAtOnce, fresh.size() - begin)));
        const auto written = tree_.writeFresh(part);
        for (size_t i = 0; i < part.size(); ++i) out.emplace(part[i].directory, written[i]);
        if (progress_) progress_();
    }
    return out;
}

void RegistryKeeper::apply(const Step& step, bool repeated,
                           const std::optional<Result<void>>& written, const Now& now) {
    Result<void> done;
    std::string reason;
    // Before the write, while the other writer's traces are there.
    std::string traces;
    if (repeated && tracks_[step.directory].contest.contested())
        traces = files::tracesOf(tree_.root() + "/" + step.directory + "/hosts.toml");
    if (const auto* action = std::get_if<WriteHosts>(&step.action)) {
        done = written ? *written : write(*action);
        reason = action->reason;
    } else if (const auto* action2 = std::get_if<ReleaseHosts>(&step.action)) {
        done = release(*action2);
        reason = action2->reason;
    } else if (const auto* action3 = std::get_if<PruneHosts>(&step.action)) {
        done = prune(*action3);
        reason = action3->reason;
    }
    if (!done) {
        failed(step.directory, done.error(), now);
        return;
    }
    Track& track = tracks_[step.directory];
    track.failures = 0;
    track.retryAt = SteadyTime();
    track.problem.clear();
    track.proof.reset();
    const auto* writing = std::get_if<WriteHosts>(&step.action);
    // What was given back is nobody's to fight for.
    if (std::holds_alternative<ReleaseHosts>(step.action)) track.contest = Contest();
    if (repeated) {
        ++heals_;
        track.contest.healed(now.steady);
        track.healedAt = now.wall;
        track.healCause = reason;
        if (track.contest.contested()) {
            track.contestTold = reason + (traces.empty() ? "" : "; " + traces);
            tellContest(track);
            if (contested_) contested_(step.directory);
        }
    }
    track.state = track.contest.contested() ? RegistryState::Contested : RegistryState::InSync;
    spdlog::info("directory={} event={} reason={}", inQuotes(step.directory),
                 writing == nullptr ? "released"
                 : writing->drifted ? "healed"
                                    : "written",
                 inQuotes(reason));
    if (writing == nullptr && !track.contest.contested()) checkUndeclared(step.directory, track);
}

void RegistryKeeper::checkUndeclared(const std::string& directory, Track& track) const {
    const ChainReading reading =
        readChain(tree_.root(), registryOfDirectory(directory), containerd_);
    track.chain = reading.hosts;
    track.warnings = textsOf(reading.warnings);
    track.problem = !reading.error.empty() ? reading.error : reading.ignored;
    const bool sound = track.problem.empty() || reading.unreadable;
    track.state = sound ? RegistryState::Unmanaged : RegistryState::Invalid;
}

}  // namespace nodemirror
