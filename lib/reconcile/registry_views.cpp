#include "base/diff.hpp"
#include "base/overloaded.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/upstream.hpp"
#include "reconcile/registry_keeper.hpp"

namespace nodemirror {

namespace {

/// Without the values of headers, and without a host that has no URL.
void makePresentable(RegistryView& view) {
    if (!view.chain.empty() && isAnyUpstream(view.chain.back())) {
        view.chain.pop_back();
        view.roles.pop_back();
    }
    for (auto& host : view.chain)
        for (auto& [name, values] : host.header) values.clear();
}

/// mirror, server or upstream, by what the desired state calls each host.
std::vector<std::string> rolesOf(const Chain& chain, const Registry& registry) {
    std::set<std::string> declared;
    for (const auto& host : intendedChain(registry))
        if (!host.host.empty()) declared.insert(host.url());
    std::vector<std::string> out;
    for (const auto& host : chain) {
        const std::string url = host.url();
        const bool server = registry.server && host.host == registry.server->host &&
                            url.rfind(registry.server->text(), 0) == 0;
        out.push_back(!declared.count(url) ? "upstream" : server ? "server" : "mirror");
    }
    return out;
}

}  // namespace

Chain RegistryKeeper::decoded(const std::string& text, const std::string& directory) const {
    return decodeHostsToml(text, tree_.root() + "/" + directory, containerd_).hosts;
}

std::optional<Registry> RegistryKeeper::standIn(const std::string& registry) const {
    const RegistryIntents::Variant* variant = intents_.variant(registry);
    if (variant == nullptr || !variant->standIn) return std::nullopt;
    return registryOfChain(decoded(variant->standIn->text, ownDirectoryName(registry)), registry);
}

RegistryView RegistryKeeper::declaredView(const Registry& registry) const {
    RegistryView view;
    view.name = registry.name;
    view.directory = ownDirectoryName(registry.name);
    view.fallback = registry.fallback;
    const RegistryIntents::Variant* variant = intents_.variant(registry.name);
    const auto standing = standIn(registry.name);
    if (variant != nullptr && variant->standIn) {
        const IntendedHosts& intended = *intents_.find(view.directory);
        view.chain = decoded(intended.rendered.text, view.directory);
        view.why = intended.why;
    } else if (variant != nullptr && variant->order) {
        view.chain = intendedChain(variant->order->registry);
        view.why = variant->order->reason;
    } else {
        view.chain = intendedChain(registry);
    }
    fillDefaultHost(view.chain, registry.name, containerd_);
    view.roles = rolesOf(view.chain, standing ? *standing : registry);
    makePresentable(view);
    return view;
}

std::vector<RegistryView> RegistryKeeper::views() const {
    std::vector<RegistryView> out;
    const auto fill = [&](RegistryView& view) {
        const auto found = tracks_.find(view.directory);
        if (found == tracks_.end()) return;
        const Track& track = found->second;
        view.state = track.state;
        view.problem = track.problem;
        view.remedy = track.remedy;
        view.warnings = track.warnings;
        view.healedAt = track.healedAt;
        view.healCause = track.healCause;
    };
    const Desired* desired = intents_.desired();
    if (desired == nullptr) return out;
    for (const auto& registry : desired->registries) {
        RegistryView view = declaredView(registry);
        fill(view);
        out.push_back(std::move(view));
    }
    for (const auto& [directory, track] : tracks_) {
        if (intents_.declares(directory)) continue;
        if (track.absent && !track.contest.contested()) continue;
        RegistryView view;
        view.name = registryOfDirectory(directory);
        view.directory = directory;
        view.chain = track.chain;
        view.roles.assign(track.chain.size(), "mirror");
        if (!view.roles.empty())
            view.roles.back() = isUpstream(view.chain.back(), view.name) ? "upstream" : "server";
        makePresentable(view);
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

std::vector<PlannedChange> RegistryKeeper::preview(const Now& now) {
    std::vector<PlannedChange> out;
    if (intents_.desired() == nullptr) return out;
    if (const auto ours = refuseOthers(); !ours) {
        noteTree(ours, now);
        return out;
    }
    const bool keeps = intents_.desired()->unmanaged == UnmanagedPolicy::Keep;
    // The epoch: what was verified is taken for verified, however long ago.
    for (const auto& directory : toLookAt(SteadyTime()).directories) {
        if (keeps && !isOurs(directory)) continue;
        const auto step = planFor(directory, tree_.observe(directory));
        if (!step) continue;
        const std::string path = tree_.root() + "/" + directory + "/hosts.toml";
        const std::string before = shownContent(step->observed);
        const Overloaded result{
            [](const WriteHosts& write) { return write.rendered.redacted; },
            [&](const ReleaseHosts& release) {
                return release.leaveFile ? before : redactHostsToml(claims_.earlier(directory));
            },
            [](const PruneHosts&) { return std::string(); },
        };
        const std::string after = std::visit(result, step->action);
        PlannedChange change;
        change.subject = path;
        change.reason = reasonOf(step->action);
        change.diff = unifiedDiff(before.empty() ? "/dev/null" : path, before,
                                  after.empty() ? "/dev/null" : path, after);
        out.push_back(std::move(change));
    }
    return out;
}

}  // namespace nodemirror
