#pragma once

#include "health/host_health.hpp"
#include "hosts_toml/chain.hpp"
#include "probe/base_probe.hpp"
#include "probe/resolver.hpp"
#include "probe/tls_contexts.hpp"

#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// Probes mirrors at an interval over kept connections, each on its own with jitter, and tells of
/// outcomes. A probe that fails, or has not been answered after half its time, is confirmed at once
/// on a fresh connection: a mirror is called down no later than one interval and one timeout after
/// it went down.
class HealthMonitor {
  public:
    struct Settings {
        Duration interval{};
        Duration timeout{};
        ContainerdVersion version = kAssumedVersion;
        ProxySettings proxies;
    };
    using Handler = std::function<void(const std::string& key, const ProbeOutcome& outcome)>;

    HealthMonitor(boost::asio::io_context& io, Handler handler);

    /// The hosts to probe from now on. Those that stay keep their connections and their pace.
    void watch(const std::vector<ChainHost>& hosts, const Settings& settings);
    /// Ends all probes.
    void stop();

  private:
    struct Target;
    struct Race;
    Task<void> keepProbing(std::shared_ptr<Target> target);
    Task<void> takeTurn(std::shared_ptr<Target> target);
    void endTurn();
    Task<void> takeSlot();
    void armSlots();
    Task<void> waitFor(std::shared_ptr<Race> race, SteadyTime deadline);
    Task<ProbeOutcome> probe(std::shared_ptr<Target> target);
    Task<void> attempt(std::shared_ptr<Target> target, std::shared_ptr<BaseProbe> asked,
                       std::shared_ptr<Race> race);
    std::shared_ptr<BaseProbe> freshProbe(const Target& target);

    boost::asio::io_context& io_;
    Resolver resolver_;
    Handler handler_;
    Settings settings_;
    size_t generation_ = 0;  ///< of the way to mirrors: their probes begin anew when it changes
    std::map<std::string, std::shared_ptr<Target>> targets_;
    TlsContexts contexts_;
    SteadyTime lastStart_;                                          ///< of a connection
    std::deque<std::shared_ptr<boost::asio::steady_timer>> slots_;  ///< who waits to begin one
    boost::asio::steady_timer slotTimer_;
    int probing_ = 0;
    std::deque<std::shared_ptr<Target>> waiting_;  ///< for their turn
};

}  // namespace nodemirror
