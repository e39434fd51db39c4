#include "cli/daemon_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <sys/un.h>

#include <limits>

namespace nodemirror::cli {

namespace beast = boost::beast;
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kSlow{5};

Error unreachable(const std::string& socket, const error_code& error) {
    std::string remedy = "systemctl status nodemirrord";
    if (error == beast::error::timeout)
        return {"ask the daemon at", socket, "it does not answer",
                "journalctl -u nodemirrord; systemctl restart nodemirrord"};
    if (error == boost::system::errc::permission_denied)
        remedy = "run as root or as a member of the group nodemirror";
    return {"reach the daemon at", socket, error.message(), remedy};
}

}  // namespace

Result<DaemonAnswer> askDaemon(const std::string& socket, const std::string& method,
                               const std::string& target, int seconds,
                               const std::function<void()>& whenSlow) {
    asio::io_context io;
    beast::basic_stream<asio::local::stream_protocol> stream(io);
    error_code error;
    if (socket.size() >= sizeof sockaddr_un{}.sun_path)
        return Error("reach the daemon at", socket, "the path is longer than a socket's may be",
                     "name the socket that nodemirrord was given as --status-socket");
    stream.socket().connect(asio::local::stream_protocol::endpoint(socket), error);
    if (error) return unreachable(socket, error);
    beast::http::request<beast::http::empty_body> request(beast::http::string_to_verb(method),
                                                          target, 11);
    request.set(beast::http::field::host, "localhost");
    request.keep_alive(false);
    request.prepare_payload();
    beast::flat_buffer buffer;
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    error_code result = asio::error::would_block;
    stream.expires_after(std::chrono::seconds(seconds));
    asio::steady_timer slow(io, kSlow);
    slow.async_wait([&](const error_code& cancelled) {
        if (!cancelled) whenSlow();
    });
    const auto end = [&](const error_code& how) {
        result = how;
        slow.cancel();
    };
    beast::http::async_write(stream, request, [&](const error_code& failed, size_t) {
        if (failed) return end(failed);
        beast::http::async_read(stream, buffer, parser,
                                [&](const error_code& ended, size_t) { end(ended); });
    });
    io.run();
    if (result) return unreachable(socket, result);
    DaemonAnswer answer;
    answer.status = parser.get().result_int();
    answer.body = parser.get().body();
    return answer;
}

}  // namespace nodemirror::cli
