#pragma once

#include "probe/connection.hpp"
#include "probe/host_scheme.hpp"
#include "registry_protocol/proxy.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace nodemirror {

/// Asks a host of a chain for its registry's base (GET /v2/) as containerd would ask it: the same
/// scheme, TLS, headers, proxy and dial timeout. The connection is kept from run to run.
class BaseProbe {
  public:
    using ContextSource = std::function<Result<TlsContext>(const TlsSettings&)>;

    /// `contexts` is asked for a TLS context at each new connection.
    BaseProbe(boost::asio::io_context& io, Resolver& resolver, ChainHost host,
              ContainerdVersion version, ProxySettings proxies, ContextSource contexts);

    /// Never empty; the last exchange is the one that counts. One comes before it where the host
    /// was found to speak plain http instead of https. One run at a time.
    Task<std::vector<Exchange>> run(Patience patience);
    /// Whether a connection made now would have the same TLS context as the kept one: that proves
    /// nothing of the next pull where a CA was replaced in place.
    bool isCurrent() const;
    /// Ends the run that is under way with a fault; safe at any time. It cannot be run again.
    void cancel();

  private:
    Result<void> connect(const HttpUrl& url);
    Task<Exchange> ask(Patience patience);

    boost::asio::io_context& io_;
    Resolver& resolver_;
    ChainHost host_;
    HostScheme scheme_;
    ContainerdVersion version_;
    ProxySettings proxies_;
    ContextSource contexts_;
    std::unique_ptr<Connection> connection_;
    TlsContext tls_;  ///< that the connection was made with
    bool cancelled_ = false;
};

}  // namespace nodemirror
