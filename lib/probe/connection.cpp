#include "probe/connection.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "probe/stream_faults.hpp"
#include "registry_protocol/proxy.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/ssl.hpp>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>

namespace nodemirror {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kHeaderLimit = 64 << 10;
constexpr int kSlowestBody = 6;
constexpr uint64_t kSlowestRate = 16 << 10;  // bytes a second
constexpr uint64_t kRefusal = 64 << 10;
constexpr size_t kLargestField = 32 << 10;  // Beast itself throws at 64
constexpr int kMostInterim = 5;             // max1xxResponses of Go's net/http

/// Whether the answer itself is still to come (RFC 9110, 15.2).
bool isInterim(unsigned status) { return status / 100 == 1 && status != 101; }

/// What Go's Transport writes itself, whatever a request says of it (reqWriteExcludeHeader).
bool isTransports(const std::string& header) {
    static const std::set<std::string> names{"host", "content-length", "transfer-encoding",
                                             "trailer"};
    return names.count(lower(header)) > 0;
}

/// What Go's Transport refuses to send (httpguts.ValidHeaderFieldName and ValidHeaderFieldValue):
/// with it a header could be another header, or another request.
std::string headerProblem(const std::string& name, const std::string& value) {
    const auto isToken = [](unsigned char c) {
        return std::isalnum(c) != 0 || (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
    };
    const auto isControl = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), isToken))
        return "net/http: invalid header field name " + inQuotes(name.substr(0, 100));
    if (std::any_of(value.begin(), value.end(), isControl))
        return "net/http: invalid header field value for " + inQuotes(name.substr(0, 100));
    if (name.size() > kLargestField || value.size() > kLargestField)
        return "the header " + inQuotes(name.substr(0, 100)) + " is longer than 32 KiB";
    return "";
}

Duration since(Clock::time_point begin) { return Clock::now() - begin; }

/// Whether anybody here reads the header. A server may send thousands of others.
bool isRead(const std::string& name) {
    static const std::set<std::string> names{
        "content-length", "content-range",         "content-type",    "date",
        "location",       "docker-content-digest", "www-authenticate"};
    return names.count(name) > 0;
}

void copyHead(const http::response_header<>& head, Exchange& out) {
    out.status = static_cast<int>(head.result_int());
    for (const auto& field : head) {
        const std::string name = lower(std::string_view(field.name_string()));
        if (!isRead(name)) continue;
        const auto [at, first] = out.headers.emplace(name, field.value());
        // Several challenges stand in several headers: they are kept apart by a newline. Of all
        // others the first counts (Header.Get of Go's net/http).
        if (!first && name == "www-authenticate") at->second += "\n" + std::string(field.value());
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

std::optional<http::request<http::empty_body>> Connection::messageOf(const HttpRequest& request,
                                                                     Exchange& out) const {
    http::request<http::empty_body> message;
    message.method_string(request.method);
    const auto target = requestTarget(request.url.target);
    if (!target.error.empty()) {
        fail(out, Fault::Protocol, target.error);
        return std::nullopt;
    }
    HttpUrl url = request.url;
    url.target = target.text;
    message.target(viaPlainProxy_ ? url.text() : url.target);
    message.version(11);
    std::vector<std::pair<std::string, std::string>> headers{{"Host", request.url.authority}};
    const std::string basic = viaPlainProxy_ ? proxyAuthorization(proxy_) : "";
    if (!basic.empty()) headers.emplace_back("Proxy-Authorization", basic);
    std::copy_if(request.headers.begin(), request.headers.end(), std::back_inserter(headers),
                 [&](const auto& header) {
                     const bool twice =
                         !basic.empty() && lower(header.first) == "proxy-authorization";
                     return !twice && !isTransports(header.first);
                 });
    for (const auto& [name, value] : headers) {
        if (const auto wrong = headerProblem(name, value); !wrong.empty()) {
            fail(out, Fault::Protocol, wrong);
            return std::nullopt;
        }
        message.insert(name, value);
    }
    return message;
}

template <class Stream>
Task<bool> Connection::talk(Stream& stream, const HttpRequest& request, Patience patience,
                            Exchange& out) {
    const auto message = messageOf(request, out);
    if (!message) co_return false;
    const auto began = Clock::now();
    error_code error;
    lowest().expires_after(patience.answer);
    auto send =
        http::async_write(stream, *message, asio::redirect_error(asio::use_awaitable, error));
    co_await std::move(send);
    std::optional<Parser> parser;
    int interim = 0;
    while (!error && (!parser || isInterim(parser->get().result_int()))) {
        if (parser && ++interim > kMostInterim) {
            fail(out, Fault::Protocol, "net/http: too many 1xx informational responses");
            co_return false;
        }
        parser.emplace();
        parser->header_limit(kHeaderLimit);
        parser->body_limit(boost::none);
        if (request.method == "HEAD") parser->skip(true);
        auto read = http::async_read_header(stream, buffer_, *parser,
                                            asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
    }
    out.answer = since(began);
    if (error) {
        failRead(out, error);
        co_return false;
    }
    copyHead(parser->get(), out);
    auto body = readBody(stream, *parser, request, patience, out);
    co_await std::move(body);
    // A body that was not read to its end leaves the connection in no state to go on, nor does what
    // came unasked behind an answer (Go: "Unsolicited response received on idle HTTP channel").
    if (!out.bodyComplete || !parser->keep_alive() || buffer_.size() > 0) close();
    co_return true;
}

/// As much of the body as is wanted. It may come slowly as long as it comes, up to a limit for all
/// of it.
template <class Stream>
Task<void> Connection::readBody(Stream& stream, Parser& parser, const HttpRequest& request,
                                Patience patience, Exchange& out) {
    Sha256 digest;
    char chunk[16 << 10];
    error_code error;
    // Only what was asked for may be large: redirects and refusals explain themselves in a few
    // lines.
    const bool wanted = out.status / 100 == 2;
    const uint64_t readLimit = wanted ? request.readLimit : std::min(kRefusal, request.readLimit);
    const uint64_t keepLimit = wanted ? request.keepLimit : std::min(kRefusal, request.keepLimit);
    const auto began = Clock::now();
    // Only what has come buys time: the size that is claimed may be any.
    const auto latest = [&] {
        const uint64_t bought = wanted && request.patient ? out.bodySize / kSlowestRate : 0;
        return began + kSlowestBody * patience.body + std::chrono::seconds(bought);
    };
    while (!error && !parser.is_done() && out.bodySize < readLimit) {
        lowest().expires_at(std::min(latest(), Clock::now() + patience.body));
        const auto offered =
            static_cast<size_t>(std::min<uint64_t>(sizeof chunk, readLimit - out.bodySize));
        parser.get().body().data = chunk;
        parser.get().body().size = offered;
        auto read = http::async_read(stream, buffer_, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
        if (error == http::error::need_buffer) error = {};
        const size_t got = offered - parser.get().body().size;
        digest.add(std::string_view(chunk, got));
        out.bodySize += got;
        if (out.body.size() < keepLimit)
            out.body.append(chunk, std::min<size_t>(got, keepLimit - out.body.size()));
    }
    out.bodyComplete = !error && parser.is_done();
    if (out.bodyComplete) out.bodySha256 = digest.hex();
    if (isTimeout(error))
        fail(out, Fault::Hang,
             Clock::now() < latest() ? "the body stopped coming" : "the body comes too slowly");
    else if (error)
        fail(out, Fault::Truncated, "unexpected EOF");
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

Exchange HttpRequest::unsent(Fault fault, std::string error) const {
    Exchange out;
    out.method = method;
    out.url = url.text();
    out.fault = fault;
    out.error = std::move(error);
    return out;
}

Task<Exchange> Connection::exchange(HttpRequest request, Patience patience) {
    const auto began = Clock::now();
    Exchange out = request.unsent(Fault::None, "");
    const bool kept = open();
    auto first = attempt(request, patience, out);
    const bool answered = co_await std::move(first);
    const bool stale =
        out.fault == Fault::Reset || out.fault == Fault::Protocol || out.fault == Fault::Unparsed;
    if (!answered && kept && !cancelled_ && stale) {
        // The server closed a connection that was idle, or what is read is the rest of an answer
        // before, as a body behind HEAD: that says nothing about this one.
        out = request.unsent(Fault::None, "");
        auto second = attempt(request, patience, out);
        (void)co_await std::move(second);
    }
    out.total = since(began);
    co_return out;
}

}  // namespace nodemirror
