#include "base/text.hpp"
#include "status/status.hpp"

namespace nodemirror {

namespace {

Document time(const std::optional<WallTime>& at) {
    return at ? Document(rfc3339(*at)) : Document(nullptr);
}

Document toDocument(const std::vector<Reason>& reasons) {
    Document out = Document::array();
    for (const auto& reason : reasons)
        out.push_back({{"code", reason.code},
                       {"subject", printable(reason.subject)},
                       {"message", printable(reason.message)},
                       {"remedy", printable(reason.remedy)}});
    return out;
}

/// As the desired state has it.
std::string fallbackName(Fallback fallback) {
    return fallback == Fallback::None ? "none" : "upstream";
}

Document desired(const DesiredView& view) {
    Document errors = Document::array();
    for (const auto& problem : view.problems)
        errors.push_back({{"line", problem.line},
                          {"column", problem.column},
                          {"key", problem.key},
                          {"message", problem.message}});
    Document out;
    out["path"] = view.path;
    out["sha256"] = view.sha256;
    out["loadedAt"] = time(view.loadedAt);
    out["valid"] = view.valid;
    out["errors"] = std::move(errors);
    return out;
}

Document containerd(const Status& status) {
    const NodeView& node = status.nodeView;
    const auto& cri = node.observed.cri;
    Document out;
    out["socket"] = status.socket;
    out["reachable"] = node.reachable ? Document(*node.reachable) : Document(nullptr);
    out["version"] = node.observed.versionText;
    out["cri"]["ready"] = cri.isKnown() && cri.value().ready;
    out["cri"]["error"] = cri.isKnown() ? cri.value().error : cri.why();
    out["configPath"]["value"] = node.configPath.value;
    out["configPath"]["source"] = sourceName(node.configPath.source);
    out["configPath"]["effective"] =
        node.configPath.effective ? Document(*node.configPath.effective) : Document(nullptr);
    out["sandboxImage"] = node.sandboxImage;
    return out;
}

const char* stateName(RegistryState state) {
    switch (state) {
        case RegistryState::InSync: return "InSync";
        case RegistryState::Drifted: return "Drifted";
        case RegistryState::Contested: return "Contested";
        case RegistryState::Unmanaged: return "Unmanaged";
        case RegistryState::Invalid: return "Invalid";
    }
    return "";
}

const char* stateName(HostHealth::State state) {
    switch (state) {
        case HostHealth::State::Unknown: return "Unknown";
        case HostHealth::State::Healthy: return "Healthy";
        case HostHealth::State::Unhealthy: return "Unhealthy";
    }
    return "";
}

Document healthOf(const Status& status, const std::string& registry, const std::string& url) {
    const HostHealth* health = nullptr;
    if (const auto hosts = status.health.find(registry); hosts != status.health.end())
        if (const auto found = hosts->second.find(url); found != hosts->second.end())
            health = &found->second;
    Document out;
    out["state"] = stateName(health == nullptr ? HostHealth::State::Unknown : health->state());
    out["latencyMs"] = nullptr;
    if (health != nullptr && health->latency() && health->state() == HostHealth::State::Healthy)
        out["latencyMs"] = std::chrono::duration<double, std::milli>(*health->latency()).count();
    out["error"] = health == nullptr ? "" : printable(health->error());
    out["checkedAt"] = health == nullptr ? Document(nullptr) : time(health->checkedAt());
    return out;
}

Document registry(const Status& status, const RegistryView& view) {
    Document chain = Document::array();
    for (size_t i = 0; i < view.chain.size(); ++i) {
        Document host;
        host["url"] = view.chain[i].url();
        host["role"] = view.roles[i];
        host["capabilities"] = view.chain[i].capabilities;
        host["health"] = healthOf(status, view.name, view.chain[i].url());
        chain.push_back(std::move(host));
    }
    Document out;
    out["name"] = view.name;
    out["directory"] = view.directory;
    out["state"] = stateName(view.state);
    out["fallback"] = view.fallback ? fallbackName(*view.fallback) : "";
    out["chain"] = std::move(chain);
    out["lastHeal"]["at"] = time(view.healedAt);
    out["lastHeal"]["cause"] = printable(view.healCause);
    out["problem"] = printable(view.problem);
    out["why"] = printable(view.why);
    out["warnings"] = view.warnings;
    return out;
}

/// A fact about an image, or null where it could not be looked up.
template <class Read>
Document fact(const NodeView& node, const std::string& name, Read read) {
    const auto found = node.observed.images.find(name);
    if (found == node.observed.images.end() || !found->second.isKnown()) return nullptr;
    return read(found->second.value());
}

Document pause(const NodeView& node) {
    Document required = Document::array();
    for (const auto& image : node.required) {
        if (!image.pause) continue;
        Document item;
        item["name"] = image.name;
        item["present"] =
            fact(node, image.name, [](const ObservedImage& seen) { return seen.resolves; });
        item["pinned"] =
            fact(node, image.name, [](const ObservedImage& seen) { return seen.pinLabel; });
        item["digest"] =
            fact(node, image.name, [](const ObservedImage& seen) { return seen.digest; });
        required.push_back(std::move(item));
    }
    Document out;
    out["required"] = std::move(required);
    out["source"] = node.pauseSource;
    return out;
}

Document images(const NodeView& node) {
    Document out = Document::array();
    for (const auto& image : node.required) {
        if (image.pause) continue;
        const auto error = node.imageErrors.find(image.name);
        Document item;
        item["name"] = image.name;
        item["present"] =
            fact(node, image.name, [](const ObservedImage& seen) { return seen.resolves; });
        item["digest"] =
            fact(node, image.name, [](const ObservedImage& seen) { return seen.digest; });
        item["error"] = error == node.imageErrors.end() ? "" : printable(error->second);
        out.push_back(std::move(item));
    }
    return out;
}

Document services(const NodeView& node) {
    Document out = Document::array();
    for (const auto& unit : node.units) {
        std::string state = "unknown";
        if (unit.observed.isKnown())
            state = unit.observed.value().exists ? unit.observed.value().activeState : "not-found";
        Document item;
        item["unit"] = unit.unit;
        item["activeState"] = state;
        item["restarts"] = unit.restarts;
        item["lastRestart"]["at"] = time(unit.lastAt);
        item["lastRestart"]["reason"] = printable(unit.lastReason);
        item["lastRestart"]["result"] = printable(unit.lastResult);
        item["budgetLeft"] = unit.budgetLeft;
        out.push_back(std::move(item));
    }
    return out;
}

}  // namespace

Document toDocument(const Status& status) {
    Document registries = Document::array();
    for (const auto& view : status.registries) registries.push_back(registry(status, view));
    Document out;
    out["apiVersion"] = "nodemirrord/v1";
    out["version"] = status.version;
    out["node"] = status.node;
    out["phase"] = phaseName(status.phase);
    out["reasons"] = toDocument(status.reasons);
    out["desired"] = desired(status.desired);
    out["containerd"] = containerd(status);
    out["registries"] = std::move(registries);
    out["pause"] = pause(status.nodeView);
    out["images"] = images(status.nodeView);
    out["services"] = services(status.nodeView);
    out["reconcile"]["count"] = status.reconcile.count;
    out["reconcile"]["heals"] = status.reconcile.heals;
    out["reconcile"]["lastAt"] = time(status.reconcile.lastAt);
    out["reconcile"]["lastDurationMs"] = status.reconcile.lastDurationMs;
    out["reconcile"]["lastError"] = printable(status.reconcile.lastError);
    return out;
}

Document planDocument(const std::vector<PlannedChange>& changes,
                      const std::vector<Reason>& reasons) {
    Document list = Document::array();
    for (const auto& change : changes)
        list.push_back({{"subject", printable(change.subject)},
                        {"reason", printable(change.reason)},
                        {"diff", printable(change.diff)}});
    Document out;
    out["apiVersion"] = "nodemirrord/v1";
    out["changes"] = std::move(list);
    // What the changes themselves will mend is no reason of its own.
    std::vector<Reason> standing;
    for (const auto& reason : reasons)
        if (reason.weight == Reason::Weight::Blocked || reason.code == "DesiredInvalid" ||
            reason.code == "ContainerdUnreachable" || reason.code == "ConfigPathNotSet" ||
            reason.code == "ChangeRolledBack")
            standing.push_back(reason);
    out["reasons"] = toDocument(standing);
    return out;
}

}  // namespace nodemirror
