#pragma once

#include "observed/exchange.hpp"
#include "ports/task.hpp"
#include "probe/resolver.hpp"
#include "probe/tls_client.hpp"
#include "registry_protocol/http_url.hpp"

#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// How long each step may take. A step that takes longer is given up: containerd itself gives up a
/// connection after 30 s (dial_timeout) and a handshake after 10 s, and never an answer.
struct Patience {
    std::chrono::nanoseconds connect{std::chrono::seconds(5)};
    std::chrono::nanoseconds handshake{std::chrono::seconds(5)};
    std::chrono::nanoseconds answer{std::chrono::seconds(10)};
    std::chrono::nanoseconds body{std::chrono::seconds(20)};
    /// For one question with its redirects: after it none is followed any more. What is under way
    /// by then has its own limits.
    std::chrono::nanoseconds whole{std::chrono::seconds(60)};
};

struct HttpRequest {
    std::string method = "GET";
    HttpUrl url;
    std::vector<std::pair<std::string, std::string>> headers;  ///< may hold secrets
    /// The most bytes of the body that are read, and the most that are kept.
    uint64_t readLimit = 64 << 10;
    uint64_t keepLimit = 64 << 10;
    /// Whether the body may take the time that it takes, as long as it comes.
    bool patient = false;

    /// The exchange that is told of it where it is not even sent.
    Exchange unsent(Fault fault, std::string error) const;
};

/// One connection to one server, by way of a proxy where one is given. It is kept for further
/// requests until something fails.
class Connection {
  public:
    /// `proxy`: a URL, "" for none. `tls`: null for plain HTTP.
    Connection(boost::asio::io_context& io, Resolver& resolver, TlsContext tls, std::string proxy);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Sends the request and reads the answer. All requests of a connection are for one origin. A
    /// kept connection that the server has closed meanwhile is opened again.
    Task<Exchange> exchange(HttpRequest request, Patience patience);

    /// For a URL that a server, and not a person, has named: link-local addresses are not dialled.
    /// What answers there (a cloud's metadata service) is none of a registry's business.
    void refuseLinkLocal() { linkLocal_ = false; }

    bool open() const { return plain_ != nullptr || secure_ != nullptr; }
    /// Ends the exchange that is under way with a fault; safe at any time.
    void cancel();

  private:
    void close();
    using Plain = boost::beast::tcp_stream;
    using Secure = boost::asio::ssl::stream<Plain>;
    using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

    Task<bool> connect(HttpUrl url, Patience patience, Exchange& out);
    Task<bool> connectTcp(std::string host, std::string port, Patience patience, Exchange& out);
    Task<bool> throughProxy(HttpUrl url, Patience patience, Exchange& out);
    Task<bool> handshake(HttpUrl url, Patience patience, Exchange& out);
    Task<bool> attempt(const HttpRequest& request, Patience patience, Exchange& out);
    template <class Stream>
    Task<bool> talk(Stream& stream, const HttpRequest& request, Patience patience, Exchange& out);
    template <class Stream>
    Task<void> readBody(Stream& stream, Parser& parser, const HttpRequest& request,
                        Patience patience, Exchange& out);
    /// Nothing, and a fault, where the request cannot be written.
    std::optional<boost::beast::http::request<boost::beast::http::empty_body>> messageOf(
        const HttpRequest& request, Exchange& out) const;
    Plain& lowest();

    boost::asio::io_context& io_;
    Resolver& resolver_;
    TlsContext tls_;
    std::string proxy_;
    bool cancelled_ = false;
    bool linkLocal_ = true;
    bool viaPlainProxy_ = false;  ///< requests carry the whole URL
    std::unique_ptr<Plain> plain_;
    std::unique_ptr<Secure> secure_;
    /// Bounds what Beast gathers before it makes something of it. It limits neither a chunk's
    /// extensions nor the fields after the last chunk itself, and throws at one of 64 KiB there,
    /// out of the io_context.
    static constexpr size_t kMostGathered = 64 << 10;
    boost::beast::flat_buffer buffer_{kMostGathered};
    std::optional<CertificateFacts> certificate_;
    std::string connectedTo_;
    std::string tlsVersion_;
};

}  // namespace nodemirror
