/// Carries out what was planned for a registry: writes, gives back.
#include "base/text.hpp"
#include "files/entries.hpp"
#include "files/writers.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/reader.hpp"
#include "reconcile/registry_keeper.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace nodemirror {

namespace {

/// How many files wait for the disk together.
constexpr size_t kAtOnce = 4096;

ChainHost shownOf(const ChainHost& host) {
    constexpr size_t kLongest = 300;
    ChainHost out;
    out.scheme = shortened(host.scheme, kLongest);
    out.host = shortened(host.host, kLongest);
    out.path = shortened(host.path, kLongest);
    out.capabilities = host.capabilities;
    return out;
}

/// What status shows of a chain that others wrote, the last host always. There may be thousands,
/// and it is kept of all.
Chain shownOf(const Chain& hosts) {
    constexpr size_t kMost = 8;
    constexpr size_t kMostText = 1024;
    Chain out;
    size_t text = 0;
    for (const auto& host : hosts) {
        text += host.url().size();
        if (out.size() == kMost || text > kMostText) break;
        out.push_back(shownOf(host));
    }
    if (out.size() < hosts.size()) out.push_back(shownOf(hosts.back()));
    return out;
}

std::vector<std::string> shownOf(const std::vector<Warning>& warnings) {
    constexpr size_t kMost = 5;
    constexpr size_t kLongest = 300;
    std::vector<std::string> out;
    for (size_t i = 0; i < std::min(kMost, warnings.size()); ++i)
        out.push_back(shortened(warnings[i].text, kLongest));
    if (warnings.size() > kMost)
        out.push_back("and " + std::to_string(warnings.size() - kMost) +
                      " more: nodemirrorctl inspect tells them");
    return out;
}

}  // namespace

/// Under which name what was in the place of a path is kept; empty where it is not.
std::string RegistryKeeper::keptName(const std::string& path) const {
    const auto owned = manifest_.find(path.substr(0, path.find('/')));
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups)
        if (entry.type == BackedUpEntry::Type::Aside && entry.path == path) return entry.stored;
    return "";
}

/// The digest of the hosts.toml that a copy is kept of; empty where there is none.
std::string RegistryKeeper::keptDigest(const std::string& directory) const {
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups)
        if (entry.type == BackedUpEntry::Type::File && !entry.legacy &&
            entry.path == directory + "/hosts.toml")
            return entry.sha256;
    return "";
}

Result<void> RegistryKeeper::write(const WriteHosts& action) {
    files::CertsTree::Kept kept{
        keptName(action.directory), keptName(action.directory + "/hosts.toml"), {}};
    if (const auto owned = manifest_.find(action.directory);
        owned != manifest_.end() && !owned->second.placed)
        kept.first = keptDigest(action.directory);
    const auto aside = tree_.write(action.directory, action.rendered.text, action.mode, kept);
    if (!aside) return aside.error();
    if (!aside->empty())
        spdlog::warn("registry={} msg=\"a directory stood in the way and was set aside\" aside={}",
                     action.registry, inQuotes(*aside));
    return {};
}

Result<void> RegistryKeeper::putBack(const BackedUpEntry& entry, const std::string& directory) {
    std::string content;
    if (entry.type == BackedUpEntry::Type::File) {
        auto stored = state_.loadBackup(entry.stored);
        if (!stored) return stored.error();
        content = std::move(*stored);
    }
    const auto back = tree_.restore(entry, content);
    const bool whole = entry.path == directory && entry.type != BackedUpEntry::Type::Aside;
    // Of overlayfs's lower layer no directory is exchanged, and elsewhere (NFS) nothing is.
    const int code = back ? 0 : back.error().code();
    if (!whole || (code != EXDEV && code != EINVAL)) return back;
    if (const auto removed = tree_.remove(directory); !removed) return removed;
    return tree_.restore(entry, content);
}

Result<void> RegistryKeeper::release(const ReleaseHosts& action, const ObservedRegistry& observed) {
    Ownership& ownership = manifest_[action.directory];
    const auto settled = settleAsides(action.directory, ownership);
    if (!settled) return settled.error();
    // What was not kept aside is in its place still, or again.
    const bool theirs = (observed.directory.type == ObservedEntry::Type::Directory &&
                         observed.directory.uid != ::geteuid()) ||
                        (observed.hosts.type == ObservedEntry::Type::File &&
                         files::isForeign(observed.hosts.uid, observed.hosts.gid));
    if (!action.leaveFile && !(*settled && theirs)) {
        if (ownership.backups.empty() && !ownership.pruned)
            if (const auto removed = tree_.remove(action.directory); !removed) return removed;
        for (const auto& entry : ownership.backups)
            if (const auto back = putBack(entry, action.directory); !back) return back;
        // Only once the manifest no longer names them: a crash in between must find them.
        for (const auto& entry : ownership.backups)
            if (entry.type == BackedUpEntry::Type::File) obsolete_.push_back(entry.stored);
    }
    manifest_.erase(action.directory);
    manifestDirty_ = true;
    return {};
}

Result<void> RegistryKeeper::prune(const PruneHosts& action) {
    const std::string kept = keptDigest(action.directory);
    return tree_.remove(action.directory, kept.empty() ? std::nullopt : std::optional(kept));
}

void RegistryKeeper::failed(const std::string& directory, const Error& error, const Now& now) {
    // What is done below certs.d is told of the file that it was done for.
    const bool named = error.code() == 0 || error.object().substr(0, 1) == "/";
    const Error told = named ? error : error.at(tree_.root() + "/" + directory + "/hosts.toml");
    Track& track = tracks_[directory];
    track.state = RegistryState::Drifted;
    track.problem = told.brief();
    track.remedy = told.remedy();
    track.failures = std::min(track.failures + 1, 6);
    track.retryAt = now.steady + std::chrono::seconds(1) * (1 << track.failures);
    spdlog::error("directory={} msg={}", inQuotes(directory), inQuotes(told.text()));
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

void RegistryKeeper::notePlaced(const std::string& directory) {
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end() || owned->second.placed) return;
    owned->second.placed = true;
    manifestDirty_ = true;
}

bool RegistryKeeper::apply(const Step& step, bool repeated,
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
        done = release(*action2, step.observed.value());
        reason = action2->reason;
    } else if (const auto* action3 = std::get_if<PruneHosts>(&step.action)) {
        done = prune(*action3);
        reason = action3->reason;
    }
    if (!done) {
        failed(step.directory, done.error(), now);
        return false;
    }
    if (std::holds_alternative<WriteHosts>(step.action)) notePlaced(step.directory);
    Track& track = tracks_[step.directory];
    track.remedy.clear();
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
    return true;
}

void RegistryKeeper::checkUndeclared(const std::string& directory, Track& track) const {
    const ChainReading reading =
        readChain(tree_.root(), registryOfDirectory(directory), containerd_);
    constexpr size_t kLongest = 1000;
    track.chain = shownOf(reading.hosts);
    track.warnings = shownOf(reading.warnings);
    if (track.chain.size() < reading.hosts.size())
        track.warnings.push_back(std::to_string(reading.hosts.size()) +
                                 " hosts in all: nodemirrorctl inspect tells them");
    track.problem = shortened(!reading.error.empty() ? reading.error : reading.ignored, kLongest);
    const bool sound = track.problem.empty() || reading.unreadable;
    track.state = sound ? RegistryState::Unmanaged : RegistryState::Invalid;
}

}  // namespace nodemirror
