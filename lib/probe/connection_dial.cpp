/// How a connection comes about: names, TCP, the proxy's tunnel, TLS.
#include "probe/connection.hpp"
#include "probe/stream_faults.hpp"
#include "registry_protocol/proxy.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <openssl/err.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace nodemirror {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr uint32_t kHeaderLimit = 64 << 10;

Duration since(Clock::time_point begin) { return Clock::now() - begin; }

/// Where clouds answer for the credentials of a node: link-local addresses, and those that two of
/// them have besides.
bool isMetadata(const asio::ip::address& address) {
    constexpr uint32_t kAlibaba = 0x646464c8;  // 100.100.100.200
    static const auto kAmazon = asio::ip::make_address_v6("fd00:ec2::254");
    if (address.is_v4()) {
        const uint32_t number = address.to_v4().to_uint();
        return number >> 16 == 0xa9fe || number == kAlibaba;  // 169.254.0.0/16
    }
    const auto v6 = address.to_v6();
    if (v6.is_v4_mapped()) return isMetadata(asio::ip::make_address_v4(asio::ip::v4_mapped, v6));
    // What a gateway turns into IPv4: 64:ff9b::/96 (RFC 6052) and 2002::/16 (RFC 3056).
    const auto bytes = v6.to_bytes();
    const auto embedded = [&bytes](size_t at) {
        return asio::ip::address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]});
    };
    static const auto kNat64 = asio::ip::make_address_v6("64:ff9b::").to_bytes();
    if (std::equal(bytes.begin(), bytes.begin() + 12, kNat64.begin()))
        return isMetadata(embedded(12));
    if (bytes[0] == 0x20 && bytes[1] == 0x02) return isMetadata(embedded(2));
    return v6.is_link_local() || v6 == kAmazon;
}

}  // namespace

Task<bool> Connection::connectTcp(std::string host, std::string port, Patience patience,
                                  Exchange& out) {
    const auto began = Clock::now();
    unsigned short number = 0;
    const char* end = port.data() + port.size();
    if (const auto read = std::from_chars(port.data(), end, number);
        read.ptr != end || read.ec != std::errc()) {
        fail(out, Fault::Unreachable, "dial tcp: address " + port + ": invalid port");
        co_return false;
    }
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
    for (const auto& address : *addresses) {
        out.addresses.push_back(address.to_string());
        if (linkLocal_ || !isMetadata(address)) endpoints.emplace_back(address, number);
    }
    if (endpoints.empty()) {
        fail(out, Fault::Protocol,
             "it leads to the link-local or metadata address " + out.addresses.front() +
                 ", which is not asked here");
        co_return false;
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
    if (const auto basic = proxyAuthorization(proxy_); !basic.empty())
        request.set(http::field::proxy_authorization, basic);
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
        const bool unparsed = out.fault == Fault::Unparsed;
        if (out.fault != Fault::Hang && !unparsed) out.fault = Fault::Proxy;
        out.error =
            "the proxy " + out.proxy + (unparsed ? " answered: " : " did not answer: ") + out.error;
        co_return false;
    }
    // What a proxy sends behind its answer is not the server's word; Go's Transport drops it too.
    buffer_.clear();
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
            // Go's net/http also goes through socks5 and https proxies.
            fail(out, Fault::ProxyUnknown, "only proxies with an http:// URL are known here");
            co_return false;
        }
        host = proxy->hostName();
        port = proxy->port();
        out.proxy = host + ":" + port;
        viaPlainProxy_ = tls_ == nullptr;
    }
    auto dial = connectTcp(host, port, patience, out);
    if (!co_await std::move(dial)) {
        if (!proxy_.empty()) {
            out.fault = Fault::Proxy;
            out.error = "proxyconnect tcp: " + out.error;
        }
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

}  // namespace nodemirror
