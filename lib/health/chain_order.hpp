#pragma once

#include "base/time.hpp"
#include "desired/desired.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// What is known of a host when its place in the chain is chosen.
struct HostStanding {
    bool known = false;  ///< it was probed
    bool down = false;
    std::optional<Duration> latency;
};

/// The registry in the order in which its hosts are to be tried, with the reason for it.
struct OrderedRegistry {
    Registry registry;
    std::string reason;  ///< empty where the declared order stands
};

/// Puts the mirrors that are down last, the others in their declared order; with all of them down
/// the declared order stands. An upstream that is known to be up goes before mirrors that are
/// down: it is then written as a host of its own, and the last mirror as server. That of _default
/// has no name, and stays where it is.
OrderedRegistry orderByHealth(const Registry& registry, const std::vector<HostStanding>& mirrors,
                              const HostStanding& upstream);

/// Chooses an order of healthy mirrors by latency, and keeps to it: another one must be clearly
/// faster (by a quarter and 5 ms) for several looks in a row, and at most one change is made in ten
/// minutes.
class LatencyOrder {
  public:
    /// Indexes of the mirrors, the one to try first in front.
    const std::vector<size_t>& decide(const std::vector<HostStanding>& mirrors, SteadyTime now);

  private:
    std::vector<size_t> order_;
    int looks_ = 0;  ///< in a row in which the order would change
    std::optional<SteadyTime> changedAt_;
};

/// The registry with its mirrors in that order.
Registry reordered(const Registry& registry, const std::vector<size_t>& order);

/// The upstream of a registry as a mirror that can be written into its chain; nothing for _default
/// and where the desired state never leaves the mirrors.
std::optional<Mirror> upstreamAsMirror(const Registry& registry);

}  // namespace nodemirror
