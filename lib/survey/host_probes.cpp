#include "survey/host_probes.hpp"

#include "hosts_toml/upstream.hpp"
#include "probe/base_probe.hpp"
#include "probe/tls_contexts.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

Task<RegistryAnswer> probeHost(asio::io_context& io, Resolver& resolver, TlsContexts& contexts,
                               ChainHost host, ProxySettings proxies, ContainerdVersion version,
                               Patience patience) {
    const auto context = [&contexts](const TlsSettings& settings) {
        return contexts.get(settings);
    };
    BaseProbe probe(io, resolver, std::move(host), version, std::move(proxies), context);
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
    std::map<std::string, ChainHost> hosts;
    for (const auto& reading : facts.registries)
        for (const auto& host : reading.hosts)
            if (!host.host.empty() && !isAnyUpstream(host)) hosts[host.url()] = host;
    if (hosts.empty()) co_return;
    size_t left = hosts.size();
    asio::steady_timer done(io, asio::steady_timer::time_point::max());
    std::exception_ptr failure;
    TlsContexts contexts;
    const ProxySettings proxies = facts.proxies.isKnown() ? facts.proxies.value() : ProxySettings();
    for (const auto& [url, host] : hosts) {
        const auto ended = [&, name = url](std::exception_ptr error, RegistryAnswer answer) {
            if (error)
                failure = error;
            else
                facts.answers[name] = std::move(answer);
            if (--left == 0) done.cancel();
        };
        asio::co_spawn(
            io, probeHost(io, resolver, contexts, host, proxies, facts.version, patience), ended);
    }
    boost::system::error_code ignored;
    auto wait = done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(wait);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace nodemirror
