#include "probe/connection.hpp"

#include "base/text.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <cstring>
#include <sstream>

namespace nodemirror {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kHeaderLimit = 64 << 10;
constexpr int kSlowestBody = 6;

void fail(Exchange& out, Fault fault, std::string error) {
    out.fault = fault;
    out.error = printable(error);
}

bool isTimeout(const error_code& error) { return error == beast::error::timeout; }

bool isGone(const error_code& error) {
    return error == asio::error::eof || error == asio::error::connection_reset ||
           error == asio::error::broken_pipe || error == asio::ssl::error::stream_truncated ||
           error == http::error::end_of_stream || error == asio::error::connection_aborted;
}

/// A dial that failed, in Go's words: dial tcp ADDRESS: connect: connection refused
void failDial(Exchange& out, const std::string& address, const error_code& error) {
    if (isTimeout(error))
        fail(out, Fault::Unreachable, "dial tcp " + address + ": i/o timeout");
    else if (error == asio::error::connection_refused)
        fail(out, Fault::Refused, "dial tcp " + address + ": connect: connection refused");
    else
        fail(out, Fault::Unreachable,
             "dial tcp " + address + ": connect: " + lower(std::strerror(error.value())));
}

void failRead(Exchange& out, const error_code& error) {
    if (isTimeout(error))
        fail(out, Fault::Hang, "the connection was accepted and no answer came in time");
    else if (error == asio::error::eof || error == http::error::end_of_stream ||
             error == asio::ssl::error::stream_truncated)
        fail(out, Fault::Reset, "EOF");
    else if (isGone(error))
        fail(out, Fault::Reset, "read tcp: read: connection reset by peer");
    else if (error == http::error::partial_message)
        fail(out, Fault::Reset, "unexpected EOF");
    else if (error.category() == asio::error::get_ssl_category())
        fail(out, Fault::Tls, "remote error: tls: " + error.message());
    else
        fail(out, Fault::Protocol, "net/http: malformed HTTP response (" + error.message() + ")");
}

std::string base64(const std::string& text) {
    std::vector<unsigned char> out(4 * ((text.size() + 2) / 3) + 1);
    const int size =
        EVP_EncodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                        static_cast<int>(text.size()));
    return {out.begin(), out.begin() + size};
}

/// user:password of a URL, "" when it has none.
std::string credentialsOf(const std::string& url) {
    const size_t begin = url.find("://") + 3;
    const size_t at = url.substr(0, url.find('/', begin)).rfind('@');
    return at == std::string::npos || at < begin ? "" : url.substr(begin, at - begin);
}

/// SHA-256 of a body as it comes.
class BodyDigest {
  public:
    BodyDigest() : context_(EVP_MD_CTX_new()) {
        EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    }
    void add(const char* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }
    std::string hex() {
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned int size = 0;
        EVP_DigestFinal_ex(context_.get(), bytes, &size);
        static constexpr char kDigits[] = "0123456789abcdef";
        std::string out;
        for (unsigned int i = 0; i < size; ++i) {
            out += kDigits[bytes[i] >> 4U];
            out += kDigits[bytes[i] & 0xfU];
        }
        return out;
    }

  private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

Duration since(Clock::time_point begin) { return Clock::now() - begin; }

void copyHead(const http::response_header<>& head, Exchange& out) {
    out.status = static_cast<int>(head.result_int());
    for (const auto& field : head) {
        auto& value = out.headers[lower(std::string_view(field.name_string()))];
        // Several challenges stand in several headers: they are kept apart by a newline.
        value += (value.empty() ? "" : "\n") + std::string(field.value());
    }
}

}  // namespace

Connection::Connection(asio::io_context& io, Resolver& resolver, TlsContext tls, std::string proxy)
    : io_(io), resolver_(resolver), tls_(std::move(tls)), proxy_(std::move(proxy)) {}

Connection::~Connection() { close(); }

void Connection::close() {
    error_code ignored;
    if (open()) lowest().socket().close(ignored);
    secure_.reset();
    plain_.reset();
    buffer_.clear();
}

void Connection::cancel() {
    // The streams themselves go when the coroutine that uses them ends.
    cancelled_ = true;
    error_code ignored;
    if (open()) lowest().socket().close(ignored);
}

Connection::Plain& Connection::lowest() { return secure_ ? secure_->next_layer() : *plain_; }

Task<bool> Connection::connectTcp(std::string host, std::string port, Patience patience,
                                  Exchange& out) {
    const auto began = Clock::now();
    auto lookUp = resolver_.resolve(host, patience.connect);
    const auto addresses = co_await std::move(lookUp);
    out.dns = since(began);
    if (!addresses) {
        fail(out, Fault::Dns, "dial tcp: " + addresses.error().reason());
        co_return false;
    }
    if (cancelled_) {
        fail(out, Fault::Unreachable, "cancelled");
        co_return false;
    }
    std::vector<tcp::endpoint> endpoints;
    const auto number = static_cast<unsigned short>(std::stoul(port));
    for (const auto& address : *addresses) {
        endpoints.emplace_back(address, number);
        out.addresses.push_back(address.to_string());
    }
    const auto dialled = Clock::now();
    error_code error = asio::error::host_not_found;
    for (size_t i = 0; i < endpoints.size(); ++i) {
        // Each address gets its share of the time, as Go's net.Dialer does.
        const auto left = patience.connect - (Clock::now() - dialled);
        plain_ = std::make_unique<Plain>(io_);
        plain_->expires_after(left / static_cast<int>(endpoints.size() - i));
        auto dial =
            plain_->async_connect(endpoints[i], asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(dial);
        if (!error || cancelled_) break;
    }
    out.connect = since(dialled);
    if (error) {
        std::ostringstream address;
        address << endpoints.front();
        failDial(out, address.str(), error);
        plain_.reset();
        co_return false;
    }
    std::ostringstream peer;
    error_code ignored;
    peer << plain_->socket().remote_endpoint(ignored);
    connectedTo_ = peer.str();
    plain_->socket().set_option(tcp::no_delay(true), ignored);
    co_return true;
}

/// CONNECT, RFC 9110, 9.3.6.
Task<bool> Connection::throughProxy(HttpUrl url, Patience patience, Exchange& out) {
    const std::string target =
        url.authority.find(':') == std::string::npos || url.authority.back() == ']'
            ? url.authority + ":" + url.port()
            : url.authority;
    http::request<http::empty_body> request(http::verb::connect, target, 11);
    request.set(http::field::host, target);
    if (const auto credentials = credentialsOf(proxy_); !credentials.empty())
        request.set(http::field::proxy_authorization, "Basic " + base64(credentials));
    error_code error;
    plain_->expires_after(patience.answer);
    auto send =
        http::async_write(*plain_, request, asio::redirect_error(asio::use_awaitable, error));
    co_await std::move(send);
    http::response_parser<http::empty_body> parser;
    parser.skip(true);
    parser.header_limit(kHeaderLimit);
    if (!error) {
        auto read = http::async_read_header(*plain_, buffer_, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
    }
    if (error) {
        failRead(out, error);
        if (out.fault != Fault::Hang) out.fault = Fault::Proxy;
        out.error = "the proxy " + out.proxy + " did not answer: " + out.error;
        co_return false;
    }
    if (parser.get().result() == http::status::ok) co_return true;
    fail(out, Fault::Proxy,
         "the proxy " + out.proxy + " answered " + std::to_string(parser.get().result_int()) + " " +
             std::string(parser.get().reason()));
    co_return false;
}

Task<bool> Connection::handshake(HttpUrl url, Patience patience, Exchange& out) {
    const auto began = Clock::now();
    secure_ = std::make_unique<Secure>(std::move(*plain_), *tls_);
    plain_.reset();
    const std::string host = url.hostName();
    CertificateCheck check;
    error_code error;
    asio::ip::make_address(host, error);
    // SSL_set_tlsext_host_name without the old-style cast of its macro.
    if (error)
        SSL_ctrl(secure_->native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(host.c_str()));
    const auto verify = [&check, host](bool trusted, asio::ssl::verify_context& context) {
        return checkCertificate(trusted, context, host, check);
    };
    const bool checked = SSL_get_verify_mode(secure_->native_handle()) != SSL_VERIFY_NONE;
    if (checked) secure_->set_verify_callback(verify, error);
    lowest().expires_after(patience.handshake);
    auto task = secure_->async_handshake(asio::ssl::stream_base::client,
                                         asio::redirect_error(asio::use_awaitable, error));
    co_await std::move(task);
    out.handshake = since(began);
    if (!check.facts)
        if (X509* peer = SSL_get1_peer_certificate(secure_->native_handle()); peer != nullptr) {
            check.facts = certificateFacts(peer);
            X509_free(peer);
        }
    out.certificate = check.facts;
    certificate_ = check.facts;
    if (!error) {
        tlsVersion_ = SSL_get_version(secure_->native_handle());
        // The callback holds a reference to what ends here.
        const auto keep = [](bool trusted, asio::ssl::verify_context&) { return trusted; };
        if (checked) secure_->set_verify_callback(keep, error);
        co_return true;
    }
    const int reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
    if (check.fault != Fault::None)
        fail(out, check.fault, check.error);
    else if (isTimeout(error))
        fail(out, Fault::Unreachable, "net/http: TLS handshake timeout");
    else if (error.category() == asio::error::get_ssl_category() &&
             (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST))
        fail(out, Fault::PlainHttp, "http: server gave HTTP response to HTTPS client");
    else if (isGone(error))
        fail(out, Fault::Reset,
             error == asio::error::connection_reset ? "read tcp: read: connection reset by peer"
                                                    : "EOF");
    else
        fail(out, Fault::Tls, "remote error: tls: " + error.message());
    co_return false;
}

Task<bool> Connection::connect(HttpUrl url, Patience patience, Exchange& out) {
    viaPlainProxy_ = false;
    std::string host = url.hostName();
    std::string port = url.port();
    if (!proxy_.empty()) {
        const auto proxy = parseHttpUrl(proxy_);
        if (!proxy || proxy->scheme != "http") {
            fail(out, Fault::Proxy, "only proxies with an http:// URL are known here");
            co_return false;
        }
        host = proxy->hostName();
        port = proxy->port();
        out.proxy = host + ":" + port;
        viaPlainProxy_ = tls_ == nullptr;
    }
    auto dial = connectTcp(host, port, patience, out);
    if (!co_await std::move(dial)) {
        if (!proxy_.empty()) out.error = "proxyconnect tcp: " + out.error;
        co_return false;
    }
    if (tls_ == nullptr) co_return true;
    if (!proxy_.empty()) {
        auto tunnel = throughProxy(url, patience, out);
        if (!co_await std::move(tunnel)) co_return false;
    }
    auto secure = handshake(url, patience, out);
    co_return co_await std::move(secure);
}

template <class Stream>
Task<bool> Connection::talk(Stream& stream, const HttpRequest& request, Patience patience,
                            Exchange& out) {
    http::request<http::empty_body> message;
    message.method_string(request.method);
    message.target(viaPlainProxy_ ? request.url.text() : request.url.target);
    message.version(11);
    message.set(http::field::host, request.url.authority);
    for (const auto& [name, value] : request.headers) message.insert(name, value);
    if (viaPlainProxy_)
        if (const auto credentials = credentialsOf(proxy_); !credentials.empty())
            message.set(http::field::proxy_authorization, "Basic " + base64(credentials));
    const auto began = Clock::now();
    error_code error;
    lowest().expires_after(patience.answer);
    auto send =
        http::async_write(stream, message, asio::redirect_error(asio::use_awaitable, error));
    co_await std::move(send);
    http::response_parser<http::buffer_body> parser;
    parser.header_limit(kHeaderLimit);
    parser.body_limit(boost::none);
    if (request.method == "HEAD") parser.skip(true);
    if (!error) {
        auto read = http::async_read_header(stream, buffer_, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
    }
    out.answer = since(began);
    if (error) {
        failRead(out, error);
        co_return false;
    }
    copyHead(parser.get(), out);
    BodyDigest digest;
    char chunk[16 << 10];
    // A body may come slowly as long as it comes, up to a limit for all of it.
    const auto latest = Clock::now() + kSlowestBody * patience.body;
    while (!parser.is_done() && out.bodySize < request.readLimit) {
        lowest().expires_at(std::min(latest, Clock::now() + patience.body));
        parser.get().body().data = chunk;
        parser.get().body().size =
            static_cast<size_t>(std::min<uint64_t>(sizeof chunk, request.readLimit - out.bodySize));
        const size_t offered = parser.get().body().size;
        auto read = http::async_read(stream, buffer_, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
        if (error == http::error::need_buffer) error = {};
        const size_t got = offered - parser.get().body().size;
        digest.add(chunk, got);
        out.bodySize += got;
        if (out.body.size() < request.keepLimit)
            out.body.append(chunk, std::min<size_t>(got, request.keepLimit - out.body.size()));
        if (error) break;
    }
    out.bodyComplete = !error && parser.is_done();
    if (out.bodyComplete) out.bodySha256 = digest.hex();
    if (isTimeout(error))
        fail(out, Fault::Hang, "the body stopped coming");
    else if (error)
        fail(out, Fault::Truncated, "unexpected EOF");
    // A body that was not read to its end leaves the connection in no state to go on.
    if (!out.bodyComplete || !parser.keep_alive()) close();
    co_return true;
}

Task<bool> Connection::attempt(const HttpRequest& request, Patience patience, Exchange& out) {
    if (!open()) {
        auto task = connect(request.url, patience, out);
        const bool connected = co_await std::move(task);
        if (!connected) {
            close();
            co_return false;
        }
    }
    out.connectedTo = connectedTo_;
    out.tls = secure_ ? tlsVersion_ : "";
    if (!out.certificate) out.certificate = certificate_;
    bool answered = false;
    if (secure_) {
        auto task = talk(*secure_, request, patience, out);
        answered = co_await std::move(task);
    } else {
        auto task = talk(*plain_, request, patience, out);
        answered = co_await std::move(task);
    }
    if (!answered) close();
    co_return answered;
}

Task<Exchange> Connection::exchange(HttpRequest request, Patience patience) {
    const auto began = Clock::now();
    const auto fresh = [&request] {
        Exchange out;
        out.method = request.method;
        out.url = request.url.text();
        return out;
    };
    Exchange out = fresh();
    const bool kept = open();
    auto first = attempt(request, patience, out);
    const bool answered = co_await std::move(first);
    if (!answered && kept && !cancelled_ && out.fault == Fault::Reset) {
        // The server closed a connection that was idle: that says nothing about it.
        out = fresh();
        auto second = attempt(request, patience, out);
        (void)co_await std::move(second);
    }
    out.total = since(began);
    co_return out;
}

}  // namespace nodemirror
