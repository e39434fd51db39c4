#include "reconcile/registry_keeper.hpp"

#include "base/text.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace nodemirror {

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
    if (track.contest.contested()) return;
    track.problem.clear();
    track.writers.clear();
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
