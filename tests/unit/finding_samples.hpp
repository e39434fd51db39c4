#pragma once

#include "observed/image_findings.hpp"

namespace nodemirror {

/// What a host answered to the HEAD of a manifest.
inline HostFinding host(const std::string& name, int status, Fault fault = Fault::None,
                        const std::string& error = "") {
    HostFinding out;
    out.host.scheme = "https";
    out.host.host = name;
    out.host.path = "/v2";
    out.resolves = true;
    out.head.status = status;
    out.head.fault = fault;
    out.head.error = error;
    Exchange exchange;
    exchange.method = "HEAD";
    exchange.url = "https://" + name + "/v2/x/manifests/1";
    exchange.status = status;
    exchange.fault = fault;
    exchange.error = error;
    out.head.exchanges.push_back(exchange);
    if (status == 200) out.digest = "sha256:" + std::string(64, 'a');
    return out;
}

}  // namespace nodemirror
