#include "plan/contest.hpp"

#include <algorithm>
#include <chrono>

namespace nodemirror {

using std::chrono::seconds;

namespace {

constexpr size_t kHealsBeforeContest = 5;
constexpr seconds kWindow{10};
constexpr seconds kFirstWait{1};
constexpr seconds kLongestWait{60};
constexpr seconds kCalm{15};

}  // namespace

void Contest::healed(SteadyTime now) {
    heals_.push_back(now);
    while (!heals_.empty() && heals_.front() + kWindow < now) heals_.pop_front();
    if (!contested_ && heals_.size() < kHealsBeforeContest) return;
    contested_ = true;
    const auto wait = std::min(kLongestWait, kFirstWait * (1 << std::min(level_, 6)));
    level_ = std::min(level_ + 1, 6);
    notBefore_ = now + wait;
    due_ = notBefore_;
    calmAt_ = now + std::max(kCalm, 2 * wait);
}

bool Contest::quiet(SteadyTime now) const {
    return !contested_ && (heals_.empty() || heals_.back() + kWindow < now);
}

void Contest::foundInPlace(SteadyTime now) {
    if (!contested_) return;
    due_ = calmAt_;
    if (now < calmAt_) return;
    contested_ = false;
    level_ = 0;
    heals_.clear();
    notBefore_ = SteadyTime();
}

}  // namespace nodemirror
