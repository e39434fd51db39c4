#pragma once

#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"
#include "observed/exchange.hpp"
#include "probe/connection.hpp"
#include "probe/host_scheme.hpp"
#include "probe/tls_contexts.hpp"
#include "registry_protocol/challenge.hpp"
#include "registry_protocol/proxy.hpp"

#include <memory>
#include <string>

namespace nodemirror {

/// How a containerd of that version would speak to the hosts of a registry.
struct ClientOptions {
    std::string registry;  ///< the image reference's host, sent as ?ns= to mirrors
    ContainerdVersion version = kAssumedVersion;
    ProxySettings proxies;
    Patience patience;
    /// Shared with other clients: each set of contexts reads the system's roots anew. Null: its
    /// own.
    std::shared_ptr<TlsContexts> contexts;
};

/// Asks one host of a chain for pieces of one repository, the way containerd's resolver does
/// (remotes/docker: resolver.go, authorizer.go): the same URL, headers, TLS, tokens and redirects.
/// It has no credentials, as a pod without imagePullSecrets has none. What containerd repeats at
/// once on the same host (408, 429, 5xx) is asked once only: a mirror in trouble is left in peace.
class RegistryClient {
  public:
    RegistryClient(boost::asio::io_context& io, Resolver& resolver, ChainHost host,
                   std::string repository, ClientOptions options);

    struct Ask {
        std::string method = "GET";
        std::string kind;    ///< manifests or blobs
        std::string object;  ///< tag or digest
        std::string accept;
        std::string range;  ///< "0-65535"; "" for the whole
        uint64_t readLimit = 64 << 10;
        uint64_t keepLimit = 64 << 10;
        bool patient = false;  ///< HttpRequest::patient
    };
    Task<RegistryAnswer> ask(Ask what);

    /// The URL that containerd requests, with ?ns= where the host is a mirror.
    HttpUrl urlOf(const std::string& kind, const std::string& object) const;

  private:
    Task<Exchange> send(HttpRequest request, std::string purpose);
    Task<Exchange> follow(HttpRequest request, std::string purpose, RegistryAnswer* answer);
    Task<bool> authorize(const Exchange& refused, bool repeated, RegistryAnswer* answer);
    Task<bool> fetchToken(Challenge challenge, RegistryAnswer* answer);
    Result<std::unique_ptr<Connection>> connectionTo(const HttpUrl& url);
    static void refuse(const HttpRequest& request, const std::string& why, RegistryAnswer* answer);
    std::vector<std::pair<std::string, std::string>> headersFor(const Ask& what) const;

    boost::asio::io_context& io_;
    Resolver& resolver_;
    ChainHost host_;
    std::string repository_;
    ClientOptions options_;
    HostScheme scheme_;
    HttpUrl base_;  ///< scheme and authority; the scheme changes where TLS is fallen back from
    std::string token_;
    SteadyTime began_;                        ///< of the question that is asked
    std::unique_ptr<Connection> connection_;  ///< kept, to the host itself
};

}  // namespace nodemirror
