#include "hosts_toml/upstream.hpp"

#include "base/text.hpp"
#include "hosts_toml/go_url.hpp"

namespace nodemirror {

std::string upstreamHost(const std::string& registry) {
    return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

void fillDefaultHost(Chain& hosts, const std::string& registry, const ContainerdVersion& version) {
    if (hosts.empty()) hosts.emplace_back();
    ChainHost& last = hosts.back();
    if (!last.host.empty()) return;
    last.scheme = "https";
    last.host = upstreamHost(registry);
    if (registry != "docker.io" && isLocalhost(registry)) {
        const std::string port = portOf(registry);
        if (version.localhostIsAlwaysHttp() || (!port.empty() && port != "443"))
            last.scheme = "http";
        if (version.localhostIsAlwaysHttp() || port != "80") last.skipVerify = true;
    }
    last.path = "/v2";
    last.capabilities = {"pull", "push", "resolve"};
    if (version.knowsReferrers()) last.capabilities = {"pull", "push", "referrers", "resolve"};
}

bool isUpstream(const ChainHost& host, const std::string& registry) {
    return host.host == registry || host.host == upstreamHost(registry);
}

bool leadsUpstream(const ChainHost& host, const std::string& registry) {
    ChainHost plain = host;
    plain.host = lower(plain.host);
    const std::string_view port = plain.scheme == "http" ? ":80" : ":443";
    if (plain.host.ends_with(port)) plain.host.resize(plain.host.size() - port.size());
    if (plain.host.ends_with('.')) plain.host.pop_back();
    return isUpstream(plain, registry) || isUpstream(host, registry);
}

bool isAnyUpstream(const ChainHost& host) { return host.host == "_default"; }

bool isTriedInHttpsFirst(const ChainHost& host, const ContainerdVersion& version) {
    const bool tls = !host.ca.empty() || !host.client.empty() || host.skipVerify.has_value();
    return host.scheme == "http" && tls && version.triesHttpsAtHttpHosts() &&
           portOf(host.host) != "80";
}

}  // namespace nodemirror
