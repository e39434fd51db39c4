#pragma once

#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"
#include "observed/exchange.hpp"
#include "probe/connection.hpp"
#include "probe/tls_client.hpp"

#include <string>

namespace nodemirror {

/// The scheme in which a containerd speaks to a host of a chain: https to one that is tried in it
/// first, until an answer shows that it does not speak it (remotes/docker: NewHTTPFallback).
class HostScheme {
  public:
    HostScheme(const ChainHost& host, const ContainerdVersion& version);

    const std::string& text() const { return scheme_; }
    /// True where containerd takes the outcome of a request for a reason to ask again in plain
    /// http: that is the scheme from then on.
    bool fallsBackAfter(const Exchange& exchange);

  private:
    std::string scheme_;
    bool mayFallBack_ = false;
    bool portless_ = false;
};

/// The TLS settings of a host of a chain.
TlsSettings tlsSettingsOf(const ChainHost& host);

/// No more patience with it than its dial_timeout lets containerd have.
Patience patienceWith(const ChainHost& host, Patience patience);

}  // namespace nodemirror
