#include "plan/budget.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

using Period = WallTime::duration;

/// The restarts that still count, oldest first.
std::vector<WallTime> counting(const Budget& budget, const std::vector<WallTime>& restarts,
                               WallTime now) {
    const auto period = std::chrono::duration_cast<Period>(budget.per);
    std::vector<WallTime> out;
    for (const auto& time : restarts)
        if (now - std::min(time, now) < period) out.push_back(std::min(time, now));
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace

int budgetLeft(const Budget& budget, const std::vector<WallTime>& restarts, WallTime now) {
    const auto used = static_cast<int>(counting(budget, restarts, now).size());
    return std::max(0, budget.restarts - used);
}

WallTime budgetFreeAt(const Budget& budget, const std::vector<WallTime>& restarts, WallTime now,
                      int needed) {
    const auto used = counting(budget, restarts, now);
    if (budget.restarts < needed) return WallTime::max();
    // So many of the oldest must no longer count.
    const int tooMany = static_cast<int>(used.size()) + needed - budget.restarts;
    if (tooMany <= 0) return now;
    return used[static_cast<size_t>(tooMany) - 1] + std::chrono::duration_cast<Period>(budget.per);
}

}  // namespace nodemirror
