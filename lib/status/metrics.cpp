#include "status/status.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace nodemirror {

namespace {

prometheus::Family<prometheus::Gauge>& gauge(prometheus::Registry& registry, const char* name,
                                             const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

void counter(prometheus::Registry& registry, const char* name, const char* help, size_t value) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({}).Increment(
        static_cast<double>(value));
}

double number(bool value) { return value ? 1 : 0; }

void mirrors(prometheus::Registry& registry, const Status& status) {
    auto& healthy = gauge(registry, "nodemirrord_mirror_healthy",
                          "Whether a host answers its probes as a registry.");
    auto& latency = gauge(registry, "nodemirrord_mirror_latency_seconds",
                          "How long a healthy host takes to answer, smoothed.");
    for (const auto& [name, hosts] : status.health)
        for (const auto& [url, health] : hosts) {
            if (health.state() == HostHealth::State::Unknown) continue;
            const prometheus::Labels labels{{"registry", name}, {"url", url}};
            const bool good = health.state() == HostHealth::State::Healthy;
            healthy.Add(labels).Set(number(good));
            if (good && health.latency())
                latency.Add(labels).Set(std::chrono::duration<double>(*health.latency()).count());
        }
}

}  // namespace

std::string metricsText(const Status& status) {
    prometheus::Registry registry;
    gauge(registry, "nodemirrord_build_info", "The version, always 1.")
        .Add({{"version", status.version}})
        .Set(1);
    auto& phase = gauge(registry, "nodemirrord_phase", "1 for the phase that the node is in.");
    for (const Phase each : {Phase::Starting, Phase::Ready, Phase::Degraded, Phase::Blocked})
        phase.Add({{"phase", phaseName(each)}}).Set(number(status.phase == each));
    counter(registry, "nodemirrord_reconciles_total", "Passes over the registries.",
            status.reconcile.count);
    counter(registry, "nodemirrord_heals_total", "Files and image names put back.",
            status.reconcile.heals);
    gauge(registry, "nodemirrord_reconcile_duration_seconds", "How long the last pass took.")
        .Add({})
        .Set(static_cast<double>(status.reconcile.lastDurationMs) / 1000);
    gauge(registry, "nodemirrord_desired_valid", "Whether the desired-state file is valid.")
        .Add({})
        .Set(number(status.desired.valid));
    auto& reachable =
        gauge(registry, "nodemirrord_containerd_reachable", "Whether containerd answers.");
    // Not before it was asked.
    if (status.nodeView.reachable) reachable.Add({}).Set(number(*status.nodeView.reachable));
    auto& inSync = gauge(registry, "nodemirrord_registry_in_sync",
                         "Whether a declared registry's hosts.toml is as desired.");
    for (const auto& view : status.registries)
        if (view.fallback)
            inSync.Add({{"registry", view.name}}).Set(number(view.state == RegistryState::InSync));
    mirrors(registry, status);
    auto& present = gauge(registry, "nodemirrord_image_present",
                          "Whether a required image name is on the node.");
    for (const auto& image : status.nodeView.required) {
        const auto found = status.nodeView.observed.images.find(image.name);
        if (found != status.nodeView.observed.images.end() && found->second.isKnown())
            present.Add({{"image", image.name}}).Set(number(found->second.value().resolves));
    }
    auto& budget = gauge(registry, "nodemirrord_restart_budget_left",
                         "Restarts of a unit that the budget still allows.");
    for (const auto& unit : status.nodeView.units)
        budget.Add({{"unit", unit.unit}}).Set(unit.budgetLeft);
    return prometheus::TextSerializer().Serialize(registry.Collect());
}

}  // namespace nodemirror
