/// Carries out what was planned for a registry.
#include "base/overloaded.hpp"
#include "base/text.hpp"
#include "files/writers.hpp"
#include "reconcile/registry_keeper.hpp"
#include "reconcile/undeclared_registry.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace nodemirror {

namespace {

/// How many files wait for the disk together.
constexpr size_t kAtOnce = 4096;

const char* eventOf(const RegistryAction& action) {
    const Overloaded event{
        [](const WriteHosts& write) { return write.drifted ? "healed" : "written"; },
        [](const ReleaseHosts&) { return "released"; },
        [](const PruneHosts&) { return "pruned"; },
    };
    return std::visit(event, action);
}

}  // namespace

Result<void> RegistryKeeper::put(const WriteHosts& action) {
    const auto aside = tree_.write(action.directory, action.rendered.text, action.mode,
                                   claims_.toKeep(action.directory));
    if (!aside) return aside.error();
    if (!aside->empty())
        spdlog::warn("registry={} msg=\"a directory stood in the way and was set aside\" aside={}",
                     action.registry, inQuotes(*aside));
    return {};
}

Result<void> RegistryKeeper::takeAway(const PruneHosts& action) {
    const std::string whole = claims_.toKeep(action.directory).directory;
    if (!whole.empty()) return tree_.moveAside(action.directory, whole);
    const std::string kept = claims_.keptDigest(action.directory);
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
    track.retryAt = now.steady + pauseAfter(++track.failures);
    track.failing.looked(now.steady);
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
    const std::vector<const Step*>& claimed) {
    std::vector<files::CertsTree::Fresh> fresh;
    for (const Step* step : claimed) {
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

Result<void> RegistryKeeper::execute(const Step& step, const std::optional<Result<void>>& written) {
    const Overloaded action{
        [&](const WriteHosts& write) { return written ? *written : put(write); },
        [&](const ReleaseHosts& release) {
            return claims_.release(release, step.observed.value());
        },
        [&](const PruneHosts& prune) { return takeAway(prune); },
    };
    return std::visit(action, step.action);
}

bool RegistryKeeper::apply(const Step& step, const std::optional<Result<void>>& written,
                           const Now& now) {
    // Before the write, while the other writer's traces are there.
    std::string traces;
    if (step.repeated && tracks_[step.directory].contest.contested())
        traces = files::tracesOf(tree_.root() + "/" + step.directory + "/hosts.toml");
    const Result<void> done = execute(step, written);
    if (!done) {
        failed(step.directory, done.error(), now);
        return false;
    }
    const bool writes = std::holds_alternative<WriteHosts>(step.action);
    if (writes) claims_.notePlaced(step.directory);
    Track& track = tracks_[step.directory];
    track.remedy.clear();
    track.failures = 0;
    track.retryAt = SteadyTime();
    track.problem.clear();
    track.verified.reset();
    // What was given back is nobody's to fight for.
    if (std::holds_alternative<ReleaseHosts>(step.action)) track.contest = Contest();
    if (step.repeated) {
        ++heals_;
        track.contest.healed(now.steady);
        track.healedAt = now.wall;
        track.healCause = reasonOf(step.action);
        if (track.contest.contested()) {
            track.contestTold = reasonOf(step.action) + (traces.empty() ? "" : "; " + traces);
            tellContest(track);
            if (contested_) contested_(step.directory);
        }
    }
    track.state = track.contest.contested() ? RegistryState::Contested : RegistryState::InSync;
    spdlog::info("directory={} event={} reason={}", inQuotes(step.directory), eventOf(step.action),
                 inQuotes(reasonOf(step.action)));
    if (!writes && !track.contest.contested()) noteUndeclared(step.directory, track);
    return true;
}

void RegistryKeeper::noteUndeclared(const std::string& directory, Track& track) const {
    UndeclaredRegistry seen = readUndeclared(tree_.root(), directory, containerd_);
    track.state = seen.state;
    track.problem = std::move(seen.problem);
    track.warnings = std::move(seen.warnings);
    track.chain = std::move(seen.chain);
}

}  // namespace nodemirror
