#include "probe/host_scheme.hpp"

#include "base/time.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/upstream.hpp"

#include <algorithm>

namespace nodemirror {

HostScheme::HostScheme(const ChainHost& host, const ContainerdVersion& version)
    : scheme_(host.scheme), portless_(portOf(host.host).empty()) {
    mayFallBack_ = isTriedInHttpsFirst(host, version);
    if (mayFallBack_) scheme_ = "https";
}

bool HostScheme::fallsBackAfter(const Exchange& exchange) {
    const bool nobodyThere =
        exchange.fault == Fault::Refused || exchange.fault == Fault::Unreachable;
    if (!mayFallBack_ || !(exchange.fault == Fault::PlainHttp || (portless_ && nobodyThere)))
        return false;
    mayFallBack_ = false;
    scheme_ = "http";
    return true;
}

TlsSettings tlsSettingsOf(const ChainHost& host) {
    TlsSettings out;
    out.skipVerify = host.skipVerify.value_or(false);
    out.ca = host.ca;
    out.client = host.client;
    return out;
}

Patience patienceWith(const ChainHost& host, Patience patience) {
    if (const auto dial = parseGoDuration(host.dialTimeout); dial && dial->count() > 0)
        patience.connect = std::min(patience.connect, *dial);
    return patience;
}

}  // namespace nodemirror
