#pragma once

#include "base/time.hpp"
#include "hosts_toml/chain.hpp"
#include "observed/exchange.hpp"

#include <deque>
#include <optional>
#include <string>

namespace nodemirror {

/// What one probe of a mirror came to.
struct ProbeOutcome {
    bool good = false;
    bool unknown = false;  ///< the host could not be asked from here
    bool unread = false;   ///< or its answer could not be read, which containerd may
    std::string error;     ///< why it is not good, in words
    Duration latency{};
};

/// Two hosts of chains with the same key are probed as one: they are asked the same, in the same
/// way.
std::string probeKey(const ChainHost& host);

/// What is told of a mirror that hangs.
extern const char kHangs[];

/// Judges the answer to GET on a registry's base (/v2/). Good is what speaks the registry protocol:
/// 200, or 401 with a challenge that a client can answer (distribution specification, "Determining
/// Support"). Any other answer, or none, is not; but where the host's path has no base (see
/// basePathOf) a 404 is good too.
ProbeOutcome judgeProbe(const Exchange& exchange, const std::string& hostPath);

/// The path under which a host's registry answers: up to and with the last /v2 of a chain host's
/// path, "/v2/" for "/v2/google_containers". `speaksBase` is false where there is no such part
/// (override_path): then a 404 is good too, for nobody knows what is there.
struct BasePath {
    std::string path;
    bool speaksBase = true;
};
BasePath basePathOf(const std::string& hostPath);

/// The health of one mirror over time. A failure counts at once (it was confirmed before it comes
/// here); the way back takes good probes in a row, and after each further fall within an hour a
/// longer quiet time, so that a mirror that flaps moves a bounded number of times an hour.
class HostHealth {
  public:
    enum class State { Unknown, Healthy, Unhealthy };

    /// A probe's outcome. True when state or place changed.
    bool observe(const ProbeOutcome& outcome, SteadyTime now, WallTime wall);
    /// It was down when the daemon last ran: it stays last until it is proven.
    void rememberDown() { down_ = true; }

    State state() const { return state_; }
    /// Whether it goes last: down, or not yet proven to be back.
    bool down() const { return down_; }
    const std::string& error() const { return error_; }
    /// Of the last good probe; smoothed, for comparison.
    std::optional<Duration> latency() const { return latency_; }
    std::optional<WallTime> checkedAt() const { return checkedAt_; }

    /// Good probes in a row that bring a mirror back.
    static constexpr int kGoodInARow = 3;

  private:
    Duration quietTime(SteadyTime now) const;

    State state_ = State::Unknown;
    bool down_ = false;
    std::string error_;
    std::optional<Duration> latency_;
    std::optional<WallTime> checkedAt_;
    int goodInARow_ = 0;
    int unreadInARow_ = 0;
    SteadyTime goodSince_;
    std::deque<SteadyTime> falls_;  ///< within the last hour
};

}  // namespace nodemirror
