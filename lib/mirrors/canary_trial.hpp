#pragma once

#include "desired/desired.hpp"
#include "hosts_toml/chain.hpp"
#include "ports/containerd.hpp"
#include "probe/resolver.hpp"
#include "probe/tls_contexts.hpp"
#include "registry_protocol/proxy.hpp"

#include <set>
#include <string>

namespace nodemirror {

/// Whether the canary of a registry can be had through a chain: asked of each host, and pulled.
class CanaryTrial {
  public:
    struct Hosts {
        size_t having = 0;     ///< hosts that have the canary
        std::string digest;    ///< of the first of them
        size_t unasked = 0;    ///< hosts that cannot be asked from here
        std::string evidence;  ///< what each of them said
        /// Why containerd resolves the canary's tag at none of them, as far as it can be told.
        std::string unresolved;
        bool endless = false;  ///< it waits for one of them without an end

        bool resolvesNowhere() const { return !unresolved.empty(); }
    };
    struct Answer {
        bool passed = false;
        bool conclusive = true;  ///< false: it says nothing of the chain
        std::string evidence;
    };

    /// `root` is the certs.d directory.
    CanaryTrial(boost::asio::io_context& io, Containerd& containerd, std::string root);
    /// `withCredentials`: the hosts that containerd's own configuration has credentials for. What
    /// such a host refuses to this process, it may give to containerd.
    void setContainerd(ContainerdVersion version, ProxySettings proxies,
                       std::set<std::string> withCredentials);

    /// The hosts that containerd finds in the text of a hosts.toml; none where it drops it.
    Chain decoded(const std::string& text, const std::string& registry) const;

    /// Asks each host of a text for the canary, and waits for an answer so long at most.
    Task<Hosts> askHosts(const Registry& registry, std::string text,
                         Duration patience = std::chrono::seconds(5));

    /// The same; where containerd would wait for one that did not answer, for another 30 seconds.
    Task<Hosts> askPatiently(const Registry& registry, std::string text);

    /// Asks the hosts of `text`, the file that is in place, then pulls the canary by its digest
    /// through CRI. kubelet asks for tags: a chain on which containerd resolves none does not pass.
    Task<Answer> pull(const Registry& registry, std::string text);

  private:
    boost::asio::io_context& io_;
    Containerd& containerd_;
    std::string root_;
    Resolver resolver_;
    std::shared_ptr<TlsContexts> contexts_ = std::make_shared<TlsContexts>();
    ContainerdVersion version_ = kAssumedVersion;
    ProxySettings proxies_;
    std::set<std::string> withCredentials_;
};

}  // namespace nodemirror
