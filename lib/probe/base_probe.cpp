#include "probe/base_probe.hpp"

#include "base/time.hpp"
#include "health/host_health.hpp"

#include <algorithm>

namespace nodemirror {

BaseProbe::BaseProbe(boost::asio::io_context& io, Resolver& resolver, ChainHost host,
                     ContainerdVersion version, ProxySettings proxies, ContextSource contexts)
    : io_(io),
      resolver_(resolver),
      host_(std::move(host)),
      scheme_(host_, version),
      version_(version),
      proxies_(std::move(proxies)),
      contexts_(std::move(contexts)) {}

void BaseProbe::cancel() {
    cancelled_ = true;
    if (connection_) connection_->cancel();
}

bool BaseProbe::isCurrent() const {
    if (!tls_) return true;
    const auto now = contexts_(tlsSettingsOf(host_));
    return now && *now == tls_;
}

Result<void> BaseProbe::connect(const HttpUrl& url) {
    if (connection_) return {};
    tls_.reset();
    if (url.scheme == "https") {
        auto made = contexts_(tlsSettingsOf(host_));
        if (!made) return made.error();
        tls_ = std::move(*made);
    }
    connection_ = std::make_unique<Connection>(io_, resolver_, tls_, proxyFor(proxies_, url));
    return {};
}

Task<Exchange> BaseProbe::ask(Patience patience) {
    HttpRequest request;
    request.url.scheme = scheme_.text();
    request.url.authority = host_.host;
    request.url.target = basePathOf(host_.path).path;
    for (const auto& [name, values] : host_.header)
        for (const auto& value : values) request.headers.emplace_back(name, value);
    request.headers.emplace_back("User-Agent", "containerd/" + version_.text());
    if (const auto connected = connect(request.url); !connected)
        co_return request.unsent(Fault::Tls, connected.error().text());
    auto task = connection_->exchange(std::move(request), patience);
    co_return co_await std::move(task);
}

Task<std::vector<Exchange>> BaseProbe::run(Patience patience) {
    patience = patienceWith(host_, patience);
    std::vector<Exchange> out;
    do {
        auto task = ask(patience);
        out.push_back(co_await std::move(task));
        if (cancelled_ || !scheme_.fallsBackAfter(out.back())) break;
        connection_.reset();
    } while (true);
    co_return out;
}

}  // namespace nodemirror
