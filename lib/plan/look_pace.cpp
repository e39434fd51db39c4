#include "plan/look_pace.hpp"

namespace nodemirror {

namespace {

constexpr std::chrono::seconds kWindow{10};
constexpr int kLooks = 5;

}  // namespace

bool LookPace::mayLook(SteadyTime now) {
    const bool may = looks_ < kLooks || now - from_ >= kWindow;
    due_ = may ? SteadyTime() : from_ + kWindow;
    return may;
}

void LookPace::looked(SteadyTime now) {
    if (looks_ == 0 || now - from_ >= kWindow) {
        from_ = now;
        looks_ = 0;
    }
    ++looks_;
}

}  // namespace nodemirror
