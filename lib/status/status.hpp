#pragma once

#include "desired/desired.hpp"
#include "health/host_health.hpp"
#include "plan/reason.hpp"
#include "views/desired_view.hpp"
#include "views/node_view.hpp"
#include "views/registry_view.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

enum class Phase { Starting, Ready, Degraded, Blocked };

/// Everything that status tells, as values.
struct Status {
    std::string version;
    std::string node;
    std::string socket;  ///< containerd's
    std::string certsDir;
    DesiredView desired;
    NodeView nodeView;
    std::vector<RegistryView> registries;
    /// By registry and URL; hosts that are not probed have none.
    std::map<std::string, std::map<std::string, HostHealth>> health;
    std::vector<Reason> mirrorReasons;
    ReconcileView reconcile;
    std::vector<Reason> reasons;  ///< all, the gravest first
    Phase phase = Phase::Starting;
};

/// How it is with certs.d as a whole.
struct TreeState {
    std::optional<Error> problem;  ///< why it cannot be used
    size_t leftOut = 0;            ///< undeclared names that are not looked at
    std::string unwatched;         ///< why changes are not seen at once
};

/// Fills `reasons` and `phase` from the rest.
void judge(Status& status, const TreeState& tree);

using Document = nlohmann::ordered_json;
/// The answer of GET /v1/status.
Document toDocument(const Status& status);
/// The answer of GET /v1/plan: the changes, and the reasons why more would have to change than the
/// daemon can.
Document planDocument(const std::vector<PlannedChange>& changes,
                      const std::vector<Reason>& reasons);
const char* phaseName(Phase phase);

/// The answer of GET /metrics, in Prometheus' text format.
std::string metricsText(const Status& status);

}  // namespace nodemirror
