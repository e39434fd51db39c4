#include "reconcile/registry_keeper.hpp"

#include "base/overloaded.hpp"
#include "hosts_toml/directories.hpp"

#include <unistd.h>

#include <algorithm>

namespace nodemirror {

namespace {

/// Even what nothing seems to have changed is read now and then: a clock that was set back, or a
/// write through a mapping, could have kept a change from showing.
constexpr std::chrono::hours kVerifiedFor{1};
constexpr std::chrono::seconds kFirstPause{2};
constexpr std::chrono::seconds kLongestPause{64};
constexpr size_t kProgressEvery = 64;
/// How long a turn has for what others put there, and how many directories are one piece of it.
constexpr std::chrono::milliseconds kTurn{50};
constexpr size_t kAtATime = 8;
/// Of a certs.d that something fills, no more than these are looked at beside what is declared.
constexpr size_t kMostUndeclared = 1000;

}  // namespace

/// How long what failed so often in turn is left alone.
Duration RegistryKeeper::pauseAfter(int failures) {
    return backoff(kFirstPause, failures - 1, kLongestPause);
}

RegistryKeeper::RegistryKeeper(files::CertsTree tree, StateDir state)
    : tree_(tree), claims_(std::move(tree), std::move(state)) {}

std::string RegistryKeeper::earlierText(const std::string& registry) const {
    return claims_.earlierOfRoot(ownDirectoryName(registry));
}

std::optional<RenderedHosts> RegistryKeeper::textInPlace(const std::string& registry) const {
    const std::string directory = ownDirectoryName(registry);
    const IntendedHosts* intended = intents_.find(directory);
    const auto seen = tree_.observe(directory);
    const bool inPlace = intended != nullptr && seen.isKnown() &&
                         seen.value().hosts.type == ObservedEntry::Type::File &&
                         seen.value().hosts.content == intended->rendered.text;
    return inPlace ? std::optional(intended->rendered) : std::nullopt;
}

std::optional<RegistryKeeper::Step> RegistryKeeper::planFor(
    const std::string& directory, const Seen<ObservedRegistry>& observed) const {
    Step step;
    step.directory = directory;
    step.observed = observed;
    const Ownership* ownership = claims_.find(directory);
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
    const Ownership* owned = claims_.find(step.directory);
    const Overloaded repeats{
        [](const WriteHosts& write) { return write.drifted; },
        [](const ReleaseHosts&) { return false; },
        [&](const PruneHosts&) { return owned != nullptr && owned->pruned; },
    };
    return std::visit(repeats, step.action);
}

/// Whether the directory is declared or owned: what others put there may wait.
bool RegistryKeeper::isOurs(const std::string& directory) const {
    return intents_.declares(directory) || claims_.find(directory) != nullptr;
}

/// Whether the directory is fought over and its next turn has not come, or fails or, being nobody's
/// here, changes all the time. Then it is not even looked at: that may bring thousands of events a
/// second.
bool RegistryKeeper::mustWait(const std::string& directory, const Now& now) {
    const auto track = tracks_.find(directory);
    if (track == tracks_.end()) return false;
    const Contest& contest = track->second.contest;
    LookPace& pace = track->second.pace;
    if (isOurs(directory)) pace = LookPace();
    // Each is asked, for what put it off before is due no longer.
    const bool isNews = pace.mayLook(now.steady);
    const bool mayFail = track->second.failing.mayLook(now.steady);
    return !isNews || !mayFail || (contest.contested() && !contest.mayHeal(now.steady));
}

/// Nothing is to be done for this directory: only its state is noted.
void RegistryKeeper::observeOnly(const std::string& directory,
                                 const Seen<ObservedRegistry>& observed, const Now& now) {
    const std::string* problem = intents_.problem(directory);
    if (problem == nullptr && observed.isUnknown()) {
        failed(directory, Error("look at", directory, observed.why()), now);
        return;
    }
    const bool declared = problem != nullptr || intents_.find(directory) != nullptr;
    const bool absent = !declared && observed.value().directory.type == ObservedEntry::Type::Absent;
    if (absent && tracks_.count(directory) == 0) return;
    Track& track = tracks_[directory];
    track.absent = absent;
    track.failures = 0;
    track.retryAt = SteadyTime();
    track.contest.foundInPlace(now.steady);
    if (absent) {
        // Its heals are remembered, or a file that is pruned again and again would look new.
        if (track.contest.quiet(now.steady)) tracks_.erase(directory);
        return;
    }
    if (problem != nullptr) {
        track.state = RegistryState::Invalid;
        track.problem = *problem;
        return;
    }
    if (!declared) {
        track.pace.looked(now.steady);
        noteUndeclared(directory, track);
        return;
    }
    track.state = track.contest.contested() ? RegistryState::Contested : RegistryState::InSync;
    if (track.contest.contested()) return;
    track.problem.clear();
    track.writers.clear();
}

/// Looks at one directory and plans for it; what needs nothing is noted.
void RegistryKeeper::look(const std::string& directory, const files::CertsTree::Seals& seals,
                          std::vector<Step>& steps, const Now& now) {
    // What is kept aside is nobody's registry, whatever befalls it.
    if (isAside(directory) && !isOurs(directory)) {
        tracks_.erase(directory);
        return;
    }
    if (mustWait(directory, now)) return;
    // Before it is read: what changes from now on has another seal.
    const auto seal = seals.of(directory);
    const auto observed = tree_.observe(directory);
    if (auto step = planFor(directory, observed)) {
        // What is to be kept of it is read again then: thousands of them would be too much.
        step->observed.value().hosts.content = {};
        steps.push_back(std::move(*step));
        return;
    }
    observeOnly(directory, observed, now);
    const IntendedHosts* intended = intents_.find(directory);
    if (intended != nullptr && observed.isKnown()) claims_.notePlaced(directory);
    const auto track = tracks_.find(directory);
    if (!seal || intended == nullptr || track == tracks_.end()) return;
    if (track->second.state != RegistryState::InSync) return;
    // Spread, so that one pass does not read all of them again.
    const auto spread = std::chrono::seconds(std::hash<std::string>()(directory) % 1800);
    track->second.verified = Verified{*seal, intended->sha256, now.steady + kVerifiedFor + spread};
}

size_t RegistryKeeper::reconcile(const std::set<std::string>& directories, const Now& now) {
    if (intents_.desired() == nullptr || treeProblem_) return 0;
    std::set<std::string> ours;
    for (const auto& directory : directories)
        (isOurs(directory) ? ours : waiting_).insert(directory);
    const size_t changed = carryOut(ours, now);
    return changed + reconcileWaiting(now);
}

size_t RegistryKeeper::reconcileWaiting(const Now& now) {
    const auto end = std::chrono::steady_clock::now() + kTurn;
    size_t changed = 0;
    do {
        std::set<std::string> part;
        while (!waiting_.empty() && part.size() < kAtATime) {
            auto next = waiting_.upper_bound(lastTurn_);
            if (next == waiting_.end()) next = waiting_.begin();
            lastTurn_ = *next;
            part.insert(waiting_.extract(next));
        }
        changed += carryOut(part, now);
    } while (!waiting_.empty() && std::chrono::steady_clock::now() < end);
    waitingDue_ = waiting_.empty() ? SteadyTime() : now.steady;
    return changed;
}

/// Observes, plans and applies.
size_t RegistryKeeper::carryOut(const std::set<std::string>& directories, const Now& now) {
    if (directories.empty()) return 0;
    std::vector<Step> steps;
    const files::CertsTree::Seals seals(tree_);
    size_t looked = 0;
    for (const auto& directory : directories) {
        look(directory, seals, steps, now);
        if (progress_ && ++looked % kProgressEvery == 0) progress_();
    }
    // No event tells that another user has come to own what lies above.
    if (!steps.empty() && !tree_.refuseOthers() && !ensureTree(now)) return 0;
    const auto claimed = claim(steps, now);
    auto written = writeFresh(claimed);
    size_t count = 0;
    size_t changed = 0;
    for (const Step* step : claimed) {
        std::optional<Result<void>> done;
        if (const auto found = written.find(step->directory); found != written.end())
            done = std::move(found->second);
        if (apply(*step, done, now)) ++changed;
        if (progress_ && ++count % kProgressEvery == 0) progress_();
    }
    claims_.flush();
    changes_ += changed;
    return changed;
}

/// Claims what the steps are about to change. Gives those that may go on: where the manifest cannot
/// be saved, what it has already is healed all the same.
std::vector<const RegistryKeeper::Step*> RegistryKeeper::claim(std::vector<Step>& steps,
                                                               const Now& now) {
    std::vector<const Step*> out;
    std::vector<const RegistryClaims::Claim*> claims;
    for (auto& step : steps) {
        step.repeated = isRepeated(step);
        auto claim = claims_.claim(step.directory, step.action, step.observed.value());
        if (!claim) {
            failed(step.directory, claim.error(), now);
            continue;
        }
        step.claim = std::move(*claim);
        out.push_back(&step);
        claims.push_back(&step.claim);
    }
    const auto saved = claims_.save(claims);
    if (saved) return out;
    for (const Step* step : out)
        if (step->claim.unsaved) failed(step->directory, saved.error(), now);
    std::erase_if(out, [](const Step* step) { return step->claim.unsaved; });
    return out;
}

/// All directories that are, or should be, but those that are sealed as they were when they were
/// found as intended.
RegistryKeeper::Places RegistryKeeper::toLookAt(SteadyTime now) const {
    Places out;
    auto& directories = out.directories;
    size_t undeclared = 0;
    const files::CertsTree::Seals seals(tree_);
    // Those passed over are tracked without being declared.
    auto track = tracks_.begin();
    const auto trackOf = [&](const std::string& directory) -> const Track* {
        for (; track != tracks_.end(); ++track) {
            const int order = track->first.compare(directory);
            if (order == 0) return &(track++)->second;
            if (order > 0) break;
            directories.insert(track->first);
        }
        return nullptr;
    };
    const auto isVerified = [&](const std::string& directory, const IntendedHosts& intended) {
        const Track* found = trackOf(directory);
        if (found == nullptr || found->state != RegistryState::InSync) return false;
        const auto& verified = found->verified;
        return verified && verified->until > now && verified->sha256 == intended.sha256 &&
               seals.of(directory) == verified->seal;
    };
    std::vector<std::string_view> asIntended;
    for (const auto& [directory, intended] : intents_.all())
        if (isVerified(directory, intended))
            asIntended.push_back(directory);
        else
            directories.insert(directories.end(), directory);
    for (; track != tracks_.end(); ++track) directories.insert(track->first);
    for (const auto& [directory, problem] : intents_.problems()) directories.insert(directory);
    // Of sorted names.
    auto known = asIntended.begin();
    const auto isAsIntended = [&](const std::string& directory) {
        while (known != asIntended.end() && *known < directory) ++known;
        return known != asIntended.end() && *known == directory;
    };
    if (const auto names = tree_.list())
        for (const auto& name : *names) {
            if (isAsIntended(name)) continue;
            if (!isOurs(name) && ++undeclared > kMostUndeclared)
                ++out.leftOut;
            else
                directories.insert(name);
        }
    known = asIntended.begin();
    for (const auto& [directory, ownership] : claims_.all())
        if (!isAsIntended(directory)) directories.insert(directory);
    return out;
}

/// False where there can be no registry: nothing tells when what keeps certs.d from being made is
/// gone, so it is tried again.
bool RegistryKeeper::ensureTree(const Now& now) {
    auto made = refuseOthers();
    if (made && !intents_.desired()->registries.empty()) made = tree_.ensureRoot();
    return noteTree(made, now);
}

/// Where something is to be done in the tree.
Result<void> RegistryKeeper::refuseOthers() const {
    const Desired& desired = *intents_.desired();
    const bool touches = !desired.registries.empty() || !claims_.all().empty() ||
                         desired.unmanaged == UnmanagedPolicy::Prune;
    return touches ? tree_.refuseOthers() : Result<void>();
}

bool RegistryKeeper::noteTree(const Result<void>& made, const Now& now) {
    treeProblem_ = made ? std::nullopt : std::optional(made.error());
    treeFailures_ = made ? 0 : treeFailures_ + 1;
    treeRetryAt_ = made ? SteadyTime() : now.steady + pauseAfter(treeFailures_);
    if (made) return true;
    for (const auto& [directory, intended] : intents_.all()) {
        Track& track = tracks_[directory];
        track.state = RegistryState::Drifted;
        track.problem = made.error().brief();
        track.remedy = made.error().remedy();
    }
    return false;
}

size_t RegistryKeeper::reconcileAll(const Now& now) {
    const Desired* desired = intents_.desired();
    if (desired == nullptr) return 0;
    if (!ensureTree(now)) return 0;
    if (!swept_ && tree_.refuseOthers()) {
        tree_.removeLeftovers("");
        for (const auto& [directory, ownership] : claims_.all()) tree_.removeLeftovers(directory);
        swept_ = true;
    }
    const Places places = toLookAt(now.steady);
    leftOut_ = places.leftOut;
    return reconcile(places.directories, now);
}

SteadyTime RegistryKeeper::due() const {
    // Nothing is done in the tree until it is right.
    if (treeProblem_) return treeRetryAt_;
    SteadyTime earliest;
    const auto consider = [&](SteadyTime time) {
        if (time != SteadyTime() && (earliest == SteadyTime() || time < earliest)) earliest = time;
    };
    consider(treeRetryAt_);
    consider(waitingDue_);
    for (const auto& [directory, track] : tracks_) consider(track.due());
    return earliest;
}

size_t RegistryKeeper::reconcileDue(const Now& now) {
    if (treeRetryAt_ != SteadyTime() && treeRetryAt_ <= now.steady) return reconcileAll(now);
    std::set<std::string> directories;
    for (const auto& [directory, track] : tracks_)
        if (track.due() != SteadyTime() && track.due() <= now.steady) directories.insert(directory);
    return directories.empty() && waiting_.empty() ? 0 : reconcile(directories, now);
}

}  // namespace nodemirror
