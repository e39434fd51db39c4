#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// One host that containerd asks for an image (docker.RegistryHost in its code).
struct ChainHost {
    std::string scheme;
    std::string host;                       ///< with the port if there is one
    std::string path;                       ///< what requests begin with: /v2, /v2/prefix, …
    std::vector<std::string> capabilities;  ///< sorted: pull, push, referrers, resolve
    std::map<std::string, std::vector<std::string>> header;  ///< may hold secrets
    std::optional<bool> skipVerify;
    std::vector<std::string> ca;                   ///< absolute paths
    std::vector<std::vector<std::string>> client;  ///< [cert with key] or [cert, key]
    std::string dialTimeout;                       ///< as Go prints it; empty when not set

    std::string url() const { return scheme + "://" + host + path; }
    bool operator==(const ChainHost&) const = default;
};

/// Something in a hosts.toml that containerd takes in another way than its writer probably meant.
struct Warning {
    std::string code;  ///< stable, for doctor and scripts: unknown-key, tls-on-http, …
    std::string text;
};

/// The hosts of a registry in the order in which containerd tries them.
using Chain = std::vector<ChainHost>;

}  // namespace nodemirror
