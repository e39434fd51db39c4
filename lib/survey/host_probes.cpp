#include "survey/host_probes.hpp"

#include "health/host_health.hpp"
#include "hosts_toml/upstream.hpp"
#include "probe/base_probe.hpp"
#include "probe/tls_contexts.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <map>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

constexpr size_t kAtOnce = 32;  // each has a descriptor or two

/// The hosts of all chains, asked by a few who each take the next one.
class Probes {
  public:
    Probes(asio::io_context& io, Resolver& resolver, NodeFacts& facts, Patience patience)
        : io_(io),
          resolver_(resolver),
          facts_(facts),
          patience_(patience),
          done_(io, asio::steady_timer::time_point::max()) {
        if (facts.proxies.isKnown()) proxies_ = facts.proxies.value();
        for (const auto& reading : facts.registries)
            for (const auto& host : reading.hosts)
                if (!host.host.empty() && !isAnyUpstream(host)) hosts_[probeKey(host)] = host;
        next_ = hosts_.begin();
    }

    Task<void> run() {
        if (hosts_.empty()) co_return;
        running_ = std::min(kAtOnce, hosts_.size());
        const auto ended = [this](std::exception_ptr error) {
            if (error) failure_ = error;
            if (--running_ == 0) done_.cancel();
        };
        for (size_t i = running_; i > 0; --i) asio::co_spawn(io_, askInTurn(), ended);
        boost::system::error_code ignored;
        auto wait = done_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
        if (failure_) std::rethrow_exception(failure_);
    }

  private:
    Task<void> askInTurn() {
        while (next_ != hosts_.end()) {
            const auto& [key, host] = *next_++;
            auto task = ask(host);
            RegistryAnswer answer = co_await std::move(task);
            facts_.answers[key] = std::move(answer);
        }
    }

    Task<RegistryAnswer> ask(ChainHost host) {
        const auto context = [this](const TlsSettings& settings) {
            return contexts_.get(settings);
        };
        BaseProbe probe(io_, resolver_, std::move(host), facts_.version, proxies_, context);
        auto task = probe.run(patience_);
        RegistryAnswer out;
        out.exchanges = co_await std::move(task);
        const Exchange& last = out.exchanges.back();
        out.status = last.status;
        out.fault = last.status > 0 ? Fault::None : last.fault;
        out.error = last.error;
        co_return out;
    }

    asio::io_context& io_;
    Resolver& resolver_;
    NodeFacts& facts_;
    Patience patience_;
    ProxySettings proxies_;
    TlsContexts contexts_;
    std::map<std::string, ChainHost> hosts_;  ///< by probeKey
    std::map<std::string, ChainHost>::const_iterator next_;
    size_t running_ = 0;
    asio::steady_timer done_;
    std::exception_ptr failure_;
};

}  // namespace

Task<void> probeHosts(asio::io_context& io, Resolver& resolver, NodeFacts& facts,
                      Patience patience) {
    Probes probes(io, resolver, facts, patience);
    auto run = probes.run();
    co_await std::move(run);
}

}  // namespace nodemirror
