#include "survey/host_probes.hpp"

#include "health/host_health.hpp"
#include "probe/registry_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

Task<RegistryAnswer> probeHost(asio::io_context& io, Resolver& resolver, ChainHost host,
                               ProxySettings proxies, ContainerdVersion version,
                               Patience patience) {
    RegistryAnswer out;
    HttpRequest request;
    request.url.scheme = triesHttpsFirst(host, version) ? "https" : host.scheme;
    request.url.authority = host.host;
    request.url.target = basePathOf(host.path).path;
    for (const auto& [name, values] : host.header)
        for (const auto& value : values) request.headers.emplace_back(name, value);
    TlsContext tls;
    if (request.url.scheme == "https") {
        auto made = makeTlsContext(tlsSettingsOf(host));
        if (!made) {
            Exchange failed;
            failed.url = request.url.text();
            failed.fault = out.fault = Fault::Tls;
            failed.error = out.error = made.error().text();
            out.exchanges.push_back(std::move(failed));
            co_return out;
        }
        tls = std::move(*made);
    }
    Connection connection(io, resolver, std::move(tls), proxyFor(proxies, request.url));
    auto task = connection.exchange(std::move(request), patience);
    Exchange exchange = co_await std::move(task);
    out.status = exchange.status;
    out.fault = exchange.status > 0 ? Fault::None : exchange.fault;
    out.error = exchange.error;
    out.exchanges.push_back(std::move(exchange));
    co_return out;
}

}  // namespace

Task<void> probeHosts(asio::io_context& io, Resolver& resolver, NodeFacts& facts,
                      Patience patience) {
    std::map<std::string, ChainHost> hosts;
    for (const auto& reading : facts.registries)
        for (const auto& host : reading.hosts)
            if (!host.host.empty() && host.host != "_default") hosts[host.url()] = host;
    if (hosts.empty()) co_return;
    size_t left = hosts.size();
    asio::steady_timer done(io, asio::steady_timer::time_point::max());
    std::exception_ptr failure;
    const ProxySettings proxies = facts.proxies.isKnown() ? facts.proxies.value() : ProxySettings();
    for (const auto& [url, host] : hosts) {
        const auto ended = [&, name = url](std::exception_ptr error, RegistryAnswer answer) {
            if (error)
                failure = error;
            else
                facts.answers[name] = std::move(answer);
            if (--left == 0) done.cancel();
        };
        asio::co_spawn(io, probeHost(io, resolver, host, proxies, facts.version, patience), ended);
    }
    boost::system::error_code ignored;
    auto wait = done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(wait);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace nodemirror
