#include "probe/host_scheme.hpp"

#include "hosts_toml/go_url.hpp"

namespace nodemirror {

HostScheme::HostScheme(const ChainHost& host, const ContainerdVersion& version)
    : scheme_(host.scheme), portless_(portOf(host.host).empty()) {
    const bool tls = !host.ca.empty() || !host.client.empty() || host.skipVerify.has_value();
    mayFallBack_ = host.scheme == "http" && tls && version.triesHttpsAtHttpHosts() &&
                   portOf(host.host) != "80";
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

}  // namespace nodemirror
