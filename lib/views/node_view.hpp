#pragma once

#include "base/time.hpp"
#include "observed/node.hpp"
#include "plan/config_plan.hpp"
#include "plan/image_plan.hpp"
#include "plan/reason.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// A unit as status shows it.
struct UnitView {
    std::string unit;
    Seen<ObservedUnit> observed;
    size_t restarts = 0;  ///< that the daemon asked for and that the state still remembers
    std::optional<WallTime> lastAt;
    std::string lastReason;
    std::string lastResult;
    int budgetLeft = 0;
};

/// The node beside its certs.d, as status shows it.
struct NodeView {
    ObservedNode observed;
    std::optional<bool> reachable;  ///< nothing until it was tried
    std::string unreachable;        ///< why not
    std::string sandboxImage;
    EffectiveConfigPath configPath;
    std::vector<RequiredImage> required;
    std::map<std::string, std::string> imageErrors;
    std::string pauseSource;
    std::vector<UnitView> units;
    std::vector<Reason> reasons;
    bool ofDesired = false;  ///< a pass that began with the desired state in force has been made
};

}  // namespace nodemirror
