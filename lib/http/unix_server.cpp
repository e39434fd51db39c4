#include "http/unix_server.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <grp.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace nodemirror::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr int kMostConnections = 80;
constexpr int kMostOfOthers = 64;
constexpr std::chrono::seconds kIdle{30};
constexpr size_t kLargestBody = 64 * 1024;
constexpr size_t kLargestHeader = 8 * 1024;
constexpr char kGroup[] = "nodemirror";

bool inUse(const std::string& path) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!fd || path.size() >= sizeof address.sun_path) return false;
    path.copy(address.sun_path, path.size());
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Result<void> clearPath(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode))
        return Error("listen on", path, "something that is no socket is there", "move it away");
    if (inUse(path))
        return Error("listen on", path, "another nodemirrord is running",
                     "stop it first: systemctl stop nodemirrord");
    if (::unlink(path.c_str()) != 0) return Error::system("listen on", path, errno);
    return {};
}

uid_t peerOf(stream_protocol::socket& socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return static_cast<uid_t>(-1);
    return peer.uid;
}

/// Whether a read failed for what was sent, and not for the connection.
bool isMalformed(const error_code& error) {
    return error.category() ==
               beast::http::make_error_code(beast::http::error::bad_method).category() &&
           error != beast::http::error::end_of_stream &&
           error != beast::http::error::partial_message;
}

}  // namespace

Answer problem(unsigned status, const std::string& title, const std::string& detail) {
    nlohmann::ordered_json json;
    json["type"] = "about:blank";
    json["title"] = title;
    json["status"] = status;
    json["detail"] = printable(detail);
    Answer answer;
    answer.status = status;
    answer.type = "application/problem+json";
    answer.body = std::make_shared<const std::string>(
        json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return answer;
}

UnixServer::UnixServer(asio::io_context& io, Handler handler)
    : io_(io), handler_(std::move(handler)), acceptor_(io) {}

Result<void> UnixServer::listen(const std::string& path) {
    if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0)
        if (::mkdir(path.substr(0, slash).c_str(), 0755) == 0)
            (void)::chmod(path.substr(0, slash).c_str(), 0755);
    if (const auto clear = clearPath(path); !clear) return clear;
    error_code error;
    acceptor_.open(stream_protocol(), error);
    // Nobody but root may connect before the mode is set.
    const mode_t before = ::umask(0177);
    if (!error) acceptor_.bind(stream_protocol::endpoint(path), error);
    ::umask(before);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return Error("listen on", path, error.message());
    path_ = path;
    if (const group* found = ::getgrnam(kGroup);
        found != nullptr && ::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
        spdlog::warn("socket={} msg=\"its group cannot be set\"", path);
    if (::chmod(path.c_str(), 0660) != 0) return Error::system("set the mode of", path, errno);
    const auto done = [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    };
    asio::co_spawn(io_, accept(), done);
    return {};
}

void UnixServer::stop() {
    error_code ignored;
    acceptor_.close(ignored);
    if (!path_.empty()) ::unlink(path_.c_str());
    path_.clear();
}

Task<void> UnixServer::accept() {
    while (acceptor_.is_open()) {
        error_code error;
        auto next = acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        auto socket = co_await std::move(next);
        if (error == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
        if (error) {
            // Out of descriptors, most likely: wait for some to come free.
            asio::steady_timer timer(io_, std::chrono::milliseconds(100));
            auto wait = timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
            co_await std::move(wait);
            continue;
        }
        // Dropped, so that the peer sees it closed; some places are kept for root.
        const int most = peerOf(socket) == 0 ? kMostConnections : kMostOfOthers;
        if (connections_ >= most) continue;
        ++connections_;
        const auto done = [this](std::exception_ptr failure) {
            --connections_;
            if (failure) std::rethrow_exception(failure);
        };
        auto session = serve(std::move(socket));
        asio::co_spawn(io_, std::move(session), done);
    }
}

Task<void> UnixServer::serve(stream_protocol::socket socket) {
    const uid_t peer = peerOf(socket);
    beast::basic_stream<stream_protocol> stream(std::move(socket));
    beast::flat_buffer buffer(kLargestHeader + kLargestBody);
    bool keep = true;
    while (keep) {
        error_code error;
        beast::http::request_parser<beast::http::string_body> parser;
        parser.header_limit(kLargestHeader);
        parser.body_limit(kLargestBody);
        stream.expires_after(kIdle);
        auto read = beast::http::async_read(stream, buffer, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(read);
        const bool malformed = error && isMalformed(error);
        if (error && !malformed) co_return;
        Answer answer;
        if (malformed) {
            answer = problem(400, "Bad Request", error.message());
        } else {
            Request request;
            request.method = std::string(parser.get().method_string());
            request.target = std::string(parser.get().target());
            request.peer = peer;
            stream.expires_never();
            auto handle = handler_(std::move(request));
            answer = co_await std::move(handle);
        }
        beast::http::response<beast::http::span_body<const char>> response;
        constexpr unsigned kHttp11 = 11;
        response.version(malformed ? kHttp11 : parser.get().version());
        response.result(answer.status);
        response.set(beast::http::field::content_type, answer.type);
        response.set(beast::http::field::cache_control, "no-store");
        response.keep_alive(!malformed && parser.get().keep_alive());
        response.body() = beast::span<const char>(answer.body->data(), answer.body->size());
        response.prepare_payload();
        keep = response.keep_alive();
        stream.expires_after(kIdle);
        beast::http::serializer<false, beast::http::span_body<const char>> serializer(response);
        auto write = beast::http::async_write(stream, serializer,
                                              asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(write);
        if (error) co_return;
    }
}

}  // namespace nodemirror::http
