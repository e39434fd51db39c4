#pragma once

#include "registry_protocol/http_url.hpp"

#include <map>
#include <string>
#include <vector>

namespace nodemirror {

/// The proxy variables of a process, as Go reads them (golang.org/x/net/http/httpproxy,
/// FromEnvironment): HTTP_PROXY, HTTPS_PROXY, NO_PROXY, or the same in lower case.
struct ProxySettings {
    std::string http;
    std::string https;
    std::string none;

    bool operator==(const ProxySettings&) const = default;
    bool any() const { return !http.empty() || !https.empty(); }
};

/// Reads the variables from entries NAME=VALUE; a later entry wins.
ProxySettings proxySettings(const std::vector<std::string>& environment);

/// The proxy that Go would use for the URL: "" for none. Localhost and loopback addresses never go
/// through one. The answer may hold credentials.
std::string proxyFor(const ProxySettings& settings, const HttpUrl& url);

/// The value of Proxy-Authorization for a proxy's URL; "" where the URL has no credentials. A
/// secret.
std::string proxyAuthorization(const std::string& proxy);

}  // namespace nodemirror
