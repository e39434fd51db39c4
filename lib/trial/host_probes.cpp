#include "trial/host_probes.hpp"

#include "health/host_health.hpp"
#include "hosts_toml/upstream.hpp"
#include "probe/base_probe.hpp"
#include "probe/tls_contexts.hpp"
#include "trial/some_at_once.hpp"

#include <map>
#include <vector>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

constexpr size_t kAtOnce = 32;  // each has a descriptor or two

/// The hosts of all chains, each once. Those that others may name are not asked as root, with the
/// keys that they name and with their headers, for that could be any service of the node's.
std::vector<ChainHost> hostsOf(const NodeFacts& facts) {
    std::map<std::string, ChainHost> byKey;
    for (const auto& reading : facts.registries)
        for (const auto& host : reading.hosts)
            if (reading.others.empty() && !host.host.empty() && !isAnyUpstream(host))
                byKey[probeKey(host)] = host;
    std::vector<ChainHost> out;
    for (auto& [key, host] : byKey) out.push_back(std::move(host));
    return out;
}

Task<RegistryAnswer> askBase(BaseProbe& probe, Patience patience) {
    auto task = probe.run(patience);
    RegistryAnswer out;
    out.exchanges = co_await std::move(task);
    const Exchange& last = out.exchanges.back();
    out.status = last.status;
    out.fault = last.status > 0 ? Fault::None : last.fault;
    out.error = last.error;
    co_return out;
}

}  // namespace

Task<void> probeHosts(asio::io_context& io, Resolver& resolver, NodeFacts& facts,
                      Patience patience) {
    const auto hosts = hostsOf(facts);
    const ProxySettings proxies = facts.proxies.isKnown() ? facts.proxies.value() : ProxySettings();
    TlsContexts contexts;
    const auto contextOf = [&contexts](const TlsSettings& tls) { return contexts.get(tls); };
    const auto askOne = [&](size_t index) -> Task<void> {
        BaseProbe probe(io, resolver, hosts[index], facts.version, proxies, contextOf);
        auto task = askBase(probe, patience);
        RegistryAnswer answer = co_await std::move(task);
        facts.answers[probeKey(hosts[index])] = std::move(answer);
    };
    auto all = someAtOnce(io, kAtOnce, hosts.size(), askOne);
    co_await std::move(all);
}

}  // namespace nodemirror
