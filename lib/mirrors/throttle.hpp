#pragma once

#include "base/time.hpp"

#include <boost/asio/steady_timer.hpp>

#include <functional>

namespace nodemirror {

/// Does one piece of work for whatever asked for it together, and never for more than a small part
/// of the time: after it has taken t, it rests for 20 t.
class Throttle {
  public:
    Throttle(boost::asio::io_context& io, std::function<void()> work);
    Throttle(const Throttle&) = delete;
    Throttle& operator=(const Throttle&) = delete;

    /// The work is done in a moment, or when the rest is over.
    void soon();
    /// It is done before this returns, or, within a rest, when that is over.
    void now();
    /// What was asked for is not done any more.
    void cancel();

  private:
    void run();

    std::function<void()> work_;
    boost::asio::steady_timer timer_;
    bool armed_ = false;
    SteadyTime restsUntil_;
};

}  // namespace nodemirror
