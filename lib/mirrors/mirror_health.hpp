#pragma once

#include "health/chain_order.hpp"
#include "mirrors/throttle.hpp"
#include "plan/reason.hpp"
#include "probe/health_monitor.hpp"
#include "state/state_dir.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Probes every mirror that is declared, or stands in for those, and says in which order the hosts
/// of each registry are to be tried. An upstream is probed only while one of its mirrors is down,
/// for only then does it matter.
class MirrorHealth {
  public:
    /// `changed` is told the registries whose order may be another now.
    using Changed = std::function<void(const std::set<std::string>& registries)>;

    /// `probed` is told of every probe that ended.
    MirrorHealth(boost::asio::io_context& io, StateDir state, Changed changed,
                 std::function<void()> probed);

    /// Reads which mirrors were down when the daemon last ran.
    void start();
    /// Stand-ins stay until setStandIn says otherwise.
    void setDesired(std::shared_ptr<const Desired> desired);
    /// The chain that stands in for a registry's declared one; nothing where none does. Its mirrors
    /// are probed too.
    void setStandIn(const std::string& registry, std::optional<Registry> standIn);
    void setContainerd(ContainerdVersion version, ProxySettings proxies);
    /// Begins to probe; before it nothing is asked of anybody.
    void run();
    void stop();

    /// Keeps over a restart which mirrors are down, so that none of them is put first again by it.
    /// Waits for the disk: once for whatever changed together (Throttle).
    void remember();
    /// The registry in the order that its mirrors' health asks for.
    OrderedRegistry ordered(const Registry& registry);
    /// The same of what stands in for it; an empty reason where nothing does.
    OrderedRegistry orderedStandIn(const std::string& registry);
    /// The health of a host of a registry's chain, by its URL; null where it is not probed.
    const HostHealth* health(const std::string& registry, const std::string& url) const;
    /// Mirrors that are down, for people.
    std::vector<Reason> reasons() const;

  private:
    struct Watched {
        std::vector<std::string> mirrors;  ///< probe keys, in the chain's own order
        std::vector<std::string> urls;
        std::string upstream;  ///< probe key; empty where it has none
        std::string upstreamUrl;
        bool asksUpstream = false;  ///< its upstream is probed
        LatencyOrder latency;
    };
    struct StandIn {
        Registry registry;
        Watched watched;
    };
    Watched watchedOf(const Registry& registry);
    void ask(const std::string& key, const std::string& registry);
    void forgetUnasked(const std::set<std::string>& asked);
    void watch();
    void watch(const Registry& registry, Watched& watched, Chain& probed) const;
    void saveDown();
    void outcome(const std::string& key, const ProbeOutcome& outcome);
    bool mustAskUpstream(const Watched& watched) const;
    bool isAskedAsItMust(const std::string& registry) const;
    std::vector<std::string> downOf(const Watched& watched) const;
    OrderedRegistry ordered(const Registry& registry, Watched& watched);
    HostStanding standing(const std::string& key) const;

    StateDir state_;
    Changed changed_;
    std::function<void()> probed_;
    HealthMonitor monitor_;
    HealthMonitor::Settings settings_;
    std::shared_ptr<const Desired> desired_;
    std::map<std::string, Watched> watched_;           ///< by registry
    std::map<std::string, StandIn> standIns_;          ///< by registry
    std::map<std::string, std::set<std::string>> of_;  ///< registries by probe key
    std::map<std::string, HostHealth> health_;         ///< by probe key
    std::set<std::string> rememberedDown_;
    /// Mirrors that were down when they ceased to be asked. They may soon be asked again: a change
    /// that is taken back brings the chain before it back.
    std::map<std::string, SteadyTime> leftDown_;
    bool downChanged_ = false;  ///< which mirrors are down, since that was last saved
    /// With thousands of registries, what a change of one mirror brings about takes long, and a
    /// network that goes away changes all of them: it is done for many together.
    Throttle saving_;
    Throttle watching_;
    bool running_ = false;
};

}  // namespace nodemirror
