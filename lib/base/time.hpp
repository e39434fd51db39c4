#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace nodemirror {

/// Wall-clock time, for people and for what must survive a restart of the daemon.
using WallTime = std::chrono::system_clock::time_point;
/// Monotonic time, for waiting and for backing off.
using SteadyTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;
/// One moment by both clocks, as whoever may read clocks hands it on.
struct Now {
    SteadyTime steady;
    WallTime wall;
};

/// The time so long after 1970, or the nearest that nanoseconds can hold (1677 to 2262).
template <class Unit>
WallTime wallTimeOf(Unit sinceEpoch) {
    const auto inUnits = [](WallTime time) {
        return std::chrono::duration_cast<Unit>(time.time_since_epoch());
    };
    return WallTime(std::clamp(sinceEpoch, inUnits(WallTime::min()), inUnits(WallTime::max())));
}

/// How long to wait after so many failures: the first pause, doubled as often, and no longer than
/// the longest.
constexpr Duration backoff(Duration first, int times, Duration longest) {
    for (; times > 0 && first < longest; --times) first *= 2;
    return std::min(first, longest);
}

/// RFC 3339 in UTC, with milliseconds: 2026-01-02T03:04:05.678Z
std::string rfc3339(WallTime time);

/// A duration as Go's time.ParseDuration reads it ("2s", "1h30m", "-1.5h", "0"); nothing when Go
/// would refuse it. containerd reads `dial_timeout` this way.
std::optional<Duration> parseGoDuration(std::string_view text);

/// The way Go prints a time.Duration: 1h0m0s, 1.5s, 2ms, 0s.
std::string formatGoDuration(Duration duration);

}  // namespace nodemirror
