#pragma once

#include "base/time.hpp"
#include "desired/desired.hpp"

#include <vector>

namespace nodemirror {

/// How many more restarts of a unit the budget allows at `now`, given those that were asked for.
/// Times in the future (the clock was set back) count as now: a jump does not free the budget. Who
/// keeps them brings those to the present that are farther away than a period, or they would lock
/// it until then.
int budgetLeft(const Budget& budget, const std::vector<WallTime>& restarts, WallTime now);

/// When the next `needed` restarts will be allowed; `now` when they are already. More than the
/// budget has are never allowed: the farthest time there is.
WallTime budgetFreeAt(const Budget& budget, const std::vector<WallTime>& restarts, WallTime now,
                      int needed = 1);

}  // namespace nodemirror
