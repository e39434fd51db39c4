#include "reconcile/registry_keeper.hpp"

#include "base/text.hpp"
#include "files/suspects.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace nodemirror {

namespace {

constexpr size_t kDigestsKept = 4;

std::string backupName(const std::string& path) {
    std::string name = path;
    std::replace(name.begin(), name.end(), '/', '@');
    return name;
}

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
        out.stored = backupName(path);
        out.sha256 = entry.sha256;
    }
    return out;
}

}  // namespace

RegistryKeeper::RegistryKeeper(files::CertsTree tree, StateDir state)
    : tree_(std::move(tree)), state_(std::move(state)) {}

Result<void> RegistryKeeper::start() {
    auto manifest = state_.loadManifest();
    if (!manifest) return manifest.error();
    manifest_ = std::move(*manifest);
    return {};
}

std::string RegistryKeeper::earlierText(const std::string& registry) const {
    const std::string directory = ownDirectoryName(registry);
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups)
        if (entry.type == BackedUpEntry::Type::File && entry.path == directory + "/hosts.toml")
            if (auto stored = state_.loadBackup(entry.stored)) return std::move(*stored);
    return "";
}

std::optional<RegistryKeeper::Step> RegistryKeeper::planFor(const std::string& directory) const {
    Step step;
    step.directory = directory;
    step.observed = tree_.observe(directory);
    const auto owned = manifest_.find(directory);
    const Ownership* ownership = owned == manifest_.end() ? nullptr : &owned->second;
    // What cannot be rendered stays as it is: it is declared, so nothing of it may go.
    if (intents_.problem(directory) != nullptr) return std::nullopt;
    const IntendedHosts* intended = intents_.find(directory);
    auto action =
        intended != nullptr
            ? planDeclared(*intended, ownership, step.observed, ::geteuid())
            : planUndeclared(directory, ownership, step.observed, intents_.desired()->unmanaged);
    if (!action) return std::nullopt;
    step.action = std::move(*action);
    return step;
}

/// Whether the step undoes what somebody did to a file that was in place, or pruned, before.
bool RegistryKeeper::isRepeated(const Step& step) const {
    if (const auto* write = std::get_if<WriteHosts>(&step.action)) return write->drifted;
    const auto owned = manifest_.find(step.directory);
    return std::holds_alternative<PruneHosts>(step.action) && owned != manifest_.end() &&
           owned->second.pruned;
}

/// Whether the directory is fought over and its next turn has not come. Then it is not even looked
/// at: a fight may bring thousands of events a second.
bool RegistryKeeper::mustWait(const std::string& directory, const Now& now) const {
    const auto track = tracks_.find(directory);
    return track != tracks_.end() && track->second.contest.contested() &&
           !track->second.contest.mayHeal(now.steady);
}

Result<void> RegistryKeeper::keepEarlier(const Step& step, Ownership& ownership) {
    const ObservedRegistry& observed = step.observed.value();
    const auto keep = [&](const std::string& path, const ObservedEntry& entry) -> Result<void> {
        using Type = ObservedEntry::Type;
        if (entry.tooLarge)
            return Error("keep a copy of", path, "it is larger than 4 MiB", "move it away");
        if (entry.type != Type::File && entry.type != Type::Symlink) return {};
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
    if (known != manifest_.end()) ownership = known->second;
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

Result<void> RegistryKeeper::write(const WriteHosts& action) {
    const auto aside = tree_.write(action.directory, action.rendered.text, action.mode);
    if (!aside) return aside.error();
    if (!aside->empty()) {
        spdlog::warn("registry={} msg=\"a directory stood in the way and was set aside\" aside={}",
                     action.registry, inQuotes(*aside));
        if (action.takesOver) {
            BackedUpEntry entry;
            entry.path = action.directory + "/hosts.toml";
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

void RegistryKeeper::apply(const Step& step, bool repeated, const Now& now) {
    Result<void> done;
    std::string reason;
    // Before the write, while the other writer's traces are there.
    std::string suspects;
    if (repeated && tracks_[step.directory].contest.contested())
        suspects =
            files::suspectsOf(tree_.root() + "/" + step.directory + "/hosts.toml", tree_.root());
    if (const auto* action = std::get_if<WriteHosts>(&step.action)) {
        done = write(*action);
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
    const auto* written = std::get_if<WriteHosts>(&step.action);
    if (repeated) {
        ++heals_;
        track.contest.healed(now.steady);
        track.healedAt = now.wall;
        track.healCause = reason;
        if (track.contest.contested())
            track.problem = "somebody keeps changing it: " + reason +
                            (suspects.empty() ? "" : " (" + suspects + ")");
    }
    track.state = track.contest.contested() ? RegistryState::Contested : RegistryState::InSync;
    spdlog::info("directory={} event={} reason={}", inQuotes(step.directory),
                 written == nullptr ? "released"
                 : written->drifted ? "healed"
                                    : "written",
                 inQuotes(reason));
    if (written == nullptr && !track.contest.contested()) checkUndeclared(step.directory, track);
}

void RegistryKeeper::checkUndeclared(const std::string& directory, Track& track) const {
    const ChainReading reading =
        readChain(tree_.root(), registryOfDirectory(directory), containerd_);
    track.chain = reading.hosts;
    track.warnings = textsOf(reading.warnings);
    track.problem = !reading.error.empty() ? reading.error : reading.ignored;
    track.state = track.problem.empty() ? RegistryState::Unmanaged : RegistryState::Invalid;
}

/// Nothing is to be done for this directory: only its state is noted.
void RegistryKeeper::observeOnly(const std::string& directory,
                                 const Seen<ObservedRegistry>& observed, const Now& now) {
    if (const std::string* problem = intents_.problem(directory); problem != nullptr) {
        Track& track = tracks_[directory];
        track.state = RegistryState::Invalid;
        track.problem = *problem;
        return;
    }
    const bool declared = intents_.find(directory) != nullptr;
    if (observed.isUnknown()) {
        failed(directory, Error("look at", directory, observed.why()), now);
        return;
    }
    if (!declared && observed.value().directory.type == ObservedEntry::Type::Absent) {
        const auto track = tracks_.find(directory);
        if (track == tracks_.end()) return;
        track->second.contest.foundInPlace(now.steady);
        track->second.absent = true;
        // Its heals are remembered, or a file that is pruned again and again would look new.
        if (track->second.contest.quiet(now.steady)) tracks_.erase(track);
        return;
    }
    Track& track = tracks_[directory];
    track.absent = false;
    if (!declared) {
        checkUndeclared(directory, track);
        return;
    }
    track.contest.foundInPlace(now.steady);
    track.failures = 0;
    track.retryAt = SteadyTime();
    track.state = track.contest.contested() ? RegistryState::Contested : RegistryState::InSync;
    if (!track.contest.contested()) track.problem.clear();
}

size_t RegistryKeeper::reconcile(const std::set<std::string>& directories, const Now& now) {
    if (intents_.desired() == nullptr) return 0;
    std::vector<Step> steps;
    for (const auto& directory : directories) {
        if (mustWait(directory, now)) continue;
        auto step = planFor(directory);
        if (step)
            steps.push_back(std::move(*step));
        else
            observeOnly(directory, tree_.observe(directory), now);
    }
    std::vector<std::pair<const Step*, bool>> claimed;
    for (auto& step : steps) {
        const bool repeated = isRepeated(step);
        if (const auto done = claim(step); !done)
            failed(step.directory, done.error(), now);
        else
            claimed.emplace_back(&step, repeated);
    }
    // A backup that is claimed again is no longer obsolete.
    for (const auto& [step, repeated] : claimed)
        for (const auto& entry : manifest_[step->directory].backups)
            obsolete_.erase(std::remove(obsolete_.begin(), obsolete_.end(), entry.stored),
                            obsolete_.end());
    // One manifest for the whole batch, on disk before the first file is touched.
    if (manifestDirty_ && !claimed.empty()) {
        if (const auto saved = state_.saveManifest(manifest_); !saved) {
            for (const auto& [step, repeated] : claimed)
                failed(step->directory, saved.error(), now);
            return 0;
        }
        manifestDirty_ = false;
    }
    for (const auto& [step, repeated] : claimed) apply(*step, repeated, now);
    if (manifestDirty_) {
        if (const auto saved = state_.saveManifest(manifest_); !saved)
            spdlog::error("msg={}", inQuotes(saved.error().text()));
        else
            manifestDirty_ = false;
    }
    if (!manifestDirty_) {
        for (const auto& name : obsolete_) state_.dropBackup(name);
        obsolete_.clear();
    }
    return claimed.size();
}

std::set<std::string> RegistryKeeper::allDirectories() const {
    std::set<std::string> all = intents_.directories();
    if (const auto names = tree_.list()) all.insert(names->begin(), names->end());
    for (const auto& [directory, ownership] : manifest_) all.insert(directory);
    for (const auto& [directory, track] : tracks_) all.insert(directory);
    return all;
}

size_t RegistryKeeper::reconcileAll(const Now& now) {
    const Desired* desired = intents_.desired();
    if (desired == nullptr) return 0;
    treeProblem_.clear();
    if (!desired->registries.empty())
        if (const auto made = tree_.ensureRoot(); !made) {
            treeProblem_ = made.error().text();
            return 0;
        }
    tree_.removeLeftovers("");
    for (const auto& [directory, ownership] : manifest_) tree_.removeLeftovers(directory);
    return reconcile(allDirectories(), now);
}

SteadyTime RegistryKeeper::due() const {
    SteadyTime earliest;
    const auto consider = [&](SteadyTime time) {
        if (time != SteadyTime() && (earliest == SteadyTime() || time < earliest)) earliest = time;
    };
    for (const auto& [directory, track] : tracks_) {
        consider(track.retryAt);
        consider(track.contest.due());
    }
    return earliest;
}

size_t RegistryKeeper::reconcileDue(const Now& now) {
    std::set<std::string> directories;
    for (const auto& [directory, track] : tracks_) {
        const bool retry = track.retryAt != SteadyTime() && track.retryAt <= now.steady;
        const SteadyTime contest = track.contest.due();
        if (retry || (contest != SteadyTime() && contest <= now.steady))
            directories.insert(directory);
    }
    return directories.empty() ? 0 : reconcile(directories, now);
}

}  // namespace nodemirror
