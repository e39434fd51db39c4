#include "hosts_toml/upstream.hpp"

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

bool isAnyUpstream(const ChainHost& host) { return host.host == "_default"; }

}  // namespace nodemirror
