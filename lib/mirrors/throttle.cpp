#include "mirrors/throttle.hpp"

#include <algorithm>
#include <utility>

namespace nodemirror {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTogether{50};
constexpr int kRest = 20;

}  // namespace

Throttle::Throttle(boost::asio::io_context& io, std::function<void()> work)
    : work_(std::move(work)), timer_(io) {}

void Throttle::run() {
    const auto began = Clock::now();
    work_();
    const auto ended = Clock::now();
    restsUntil_ = ended + kRest * (ended - began);
}

void Throttle::soon() {
    if (std::exchange(armed_, true)) return;
    timer_.expires_at(std::max(restsUntil_, Clock::now() + kTogether));
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error && std::exchange(armed_, false)) run();
    });
}

void Throttle::now() {
    if (Clock::now() < restsUntil_) return soon();
    cancel();
    run();
}

void Throttle::cancel() {
    armed_ = false;
    timer_.cancel();
}

}  // namespace nodemirror
