#include "base/diff.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/redact.hpp"
#include "reconcile/registry_keeper.hpp"

namespace nodemirror {

namespace {

void withoutHeaderValues(Chain& chain) {
    for (auto& host : chain)
        for (auto& [name, values] : host.header) values.clear();
}

}  // namespace

std::vector<RegistryView> RegistryKeeper::views() const {
    std::vector<RegistryView> out;
    const auto fill = [&](RegistryView& view) {
        const auto found = tracks_.find(view.directory);
        if (found == tracks_.end()) return;
        const Track& track = found->second;
        view.state = track.state;
        view.problem = track.problem;
        view.warnings = track.warnings;
        view.healedAt = track.healedAt;
        view.healCause = track.healCause;
    };
    if (!desired_) return out;
    for (const auto& registry : desired_->registries) {
        RegistryView view;
        view.name = registry.name;
        view.directory = ownDirectoryName(registry.name);
        view.fallback = registry.fallback == Fallback::None ? "none" : "upstream";
        view.chain = intendedChain(registry);
        view.mirrors = registry.mirrors.size();
        view.ownServer = registry.server.has_value();
        // The upstream of _default is that of whatever registry is asked for.
        if (registry.fallback == Fallback::Upstream && registry.name == "_default" &&
            !registry.server)
            view.chain.pop_back();
        else
            fillDefaultHost(view.chain, registry.name, containerd_);
        withoutHeaderValues(view.chain);
        fill(view);
        out.push_back(std::move(view));
    }
    for (const auto& [directory, track] : tracks_) {
        if (intended_.count(directory) || renderProblems_.count(directory)) continue;
        if (track.absent && !track.contest.contested()) continue;
        RegistryView view;
        view.name = registryOfDirectory(directory);
        view.directory = directory;
        view.chain = track.chain;
        view.mirrors = track.chain.empty() ? 0 : track.chain.size() - 1;
        withoutHeaderValues(view.chain);
        fill(view);
        out.push_back(std::move(view));
    }
    return out;
}

namespace {

std::string shownContent(const Seen<ObservedRegistry>& observed) {
    if (!observed.isKnown() || observed.value().hosts.type != ObservedEntry::Type::File) return "";
    return redactHostsToml(observed.value().hosts.content);
}

}  // namespace

std::vector<PlannedChange> RegistryKeeper::preview() const {
    std::vector<PlannedChange> out;
    if (!desired_) return out;
    for (const auto& directory : allDirectories()) {
        const auto step = planFor(directory);
        if (!step) continue;
        const std::string path = tree_.root() + "/" + directory + "/hosts.toml";
        const std::string before = shownContent(step->observed);
        std::string after;
        std::string reason;
        if (const auto* write = std::get_if<WriteHosts>(&step->action)) {
            after = write->rendered.redacted;
            reason = write->reason;
        } else if (const auto* release = std::get_if<ReleaseHosts>(&step->action)) {
            reason = release->reason;
            if (release->leaveFile) after = before;
            const auto owned = manifest_.find(directory);
            if (!release->leaveFile && owned != manifest_.end())
                for (const auto& entry : owned->second.backups)
                    if (entry.type == BackedUpEntry::Type::File)
                        if (const auto stored = state_.loadBackup(entry.stored))
                            after = redactHostsToml(*stored);
        } else if (const auto* prune = std::get_if<PruneHosts>(&step->action)) {
            reason = prune->reason;
        }
        PlannedChange change;
        change.subject = path;
        change.reason = reason;
        change.diff = unifiedDiff(before.empty() ? "/dev/null" : path, before,
                                  after.empty() ? "/dev/null" : path, after);
        out.push_back(std::move(change));
    }
    return out;
}

}  // namespace nodemirror
