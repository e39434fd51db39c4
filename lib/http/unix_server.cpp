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

#include <algorithm>

namespace nodemirror::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr size_t kMostConnections = 160;
constexpr size_t kMostOfOthers = 128;
constexpr size_t kMostOfOne = 64;  ///< of them, so that one user keeps no other out
constexpr std::chrono::seconds kIdle{30};
constexpr size_t kLargestBody = 64 * 1024;
constexpr size_t kLargestHeader = 8 * 1024;
/// Of answers that are still being read, beside one more.
constexpr size_t kMostUnread = 64 << 20;
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

using Response = beast::http::response<beast::http::span_body<const char>>;

/// Of an answer that outlives it.
Response responseOf(const Answer& answer, unsigned version, bool keep) {
    Response out;
    out.version(version);
    out.result(answer.status);
    out.set(beast::http::field::content_type, answer.type);
    out.set(beast::http::field::cache_control, "no-store");
    out.keep_alive(keep);
    out.body() = beast::span<const char>(answer.body->data(), answer.body->size());
    out.prepare_payload();
    return out;
}

/// A socket's mode at bind(2) is that of its descriptor without the umask: it is never open to more
/// peers than it should be, and no path is changed that somebody else could have swapped.
constexpr mode_t kMode = 0660;

}  // namespace

struct UnixServer::Session {
    Session(stream_protocol::socket socket, uid_t uid) : stream(std::move(socket)), peer(uid) {}
    beast::basic_stream<stream_protocol> stream;
    uid_t peer;
    bool waiting = true;  ///< for a request
    Sessions::iterator place;
};

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
        json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
    return answer;
}

UnixServer::UnixServer(asio::io_context& io, Handler handler)
    : io_(io), handler_(std::move(handler)), acceptor_(io) {}

UnixServer::~UnixServer() = default;

Result<void> UnixServer::listen(const std::string& path) {
    if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0)
        if (::mkdir(path.substr(0, slash).c_str(), 0755) == 0)
            (void)::chmod(path.substr(0, slash).c_str(), 0755);
    if (const auto clear = clearPath(path); !clear) return clear;
    error_code error;
    acceptor_.open(stream_protocol(), error);
    if (!error && ::fchmod(acceptor_.native_handle(), kMode) != 0)
        return Error::system("set the mode of", path, errno);
    const mode_t before = ::umask(static_cast<mode_t>(0777) & ~kMode);
    if (!error) acceptor_.bind(stream_protocol::endpoint(path), error);
    ::umask(before);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return Error("listen on", path, error.message());
    path_ = path;
    // As a service it has not the capability for this: the unit's ExecStartPost= does it then.
    const group* found = ::getgrnam(kGroup);
    if (found != nullptr && ::lchown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
        spdlog::debug("socket={} msg=\"its group is left to the service manager\"", path);
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
        const uid_t peer = peerOf(socket);
        if (!makeRoom(peer)) continue;  // dropped, so that the peer sees it closed
        auto session = std::make_shared<Session>(std::move(socket), peer);
        session->place = sessions_.insert(sessions_.end(), session);
        const auto done = [this, session](std::exception_ptr failure) {
            sessions_.erase(session->place);
            if (failure) std::rethrow_exception(failure);
        };
        auto task = serve(session);
        asio::co_spawn(io_, std::move(task), done);
    }
}

/// Some places are kept for root; root may have any, others only those of others, and who has many
/// only those of their own.
bool UnixServer::makeRoom(uid_t peer) {
    const auto ofPeer =
        std::count_if(sessions_.begin(), sessions_.end(),
                      [peer](const auto& session) { return session->peer == peer; });
    const bool many = peer != 0 && static_cast<size_t>(ofPeer) >= kMostOfOne;
    const size_t most = peer == 0 ? kMostConnections : kMostOfOthers;
    if (!many && sessions_.size() < most) return true;
    for (const auto& session : sessions_) {
        if (!session->waiting || (peer != 0 && session->peer == 0)) continue;
        if (many && session->peer != peer) continue;
        session->waiting = false;  // its place is given away once
        session->stream.close();
        return true;
    }
    return false;
}

/// Counts one more reader of an answer; false where there is no memory left for it. Root is always
/// answered.
bool UnixServer::admit(const Body& body, uid_t peer) {
    const auto known = unread_.find(body);
    if (known != unread_.end()) {
        ++known->second;
        return true;
    }
    if (peer != 0 && !unread_.empty() && unreadBytes_ + body->size() > kMostUnread) return false;
    unread_[body] = 1;
    unreadBytes_ += body->size();
    return true;
}

void UnixServer::release(const Body& body) {
    const auto known = unread_.find(body);
    if (--known->second > 0) return;
    unreadBytes_ -= body->size();
    unread_.erase(known);
}

Task<void> UnixServer::serve(std::shared_ptr<Session> session) {
    auto& stream = session->stream;
    // Beast bounds neither a chunk's extensions nor what follows the last chunk, and throws at a
    // field of 64 KiB there: what it may gather before it makes something of it is bounded.
    beast::flat_buffer buffer(2 * kLargestHeader);
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
        session->waiting = false;
        Answer answer;
        if (malformed) {
            answer = problem(400, "Bad Request", error.message());
        } else {
            Request request;
            request.method = std::string(parser.get().method_string());
            request.target = std::string(parser.get().target());
            request.peer = session->peer;
            stream.expires_never();
            auto handle = handler_(std::move(request));
            answer = co_await std::move(handle);
        }
        const bool admitted = admit(answer.body, session->peer);
        if (!admitted)
            answer = problem(503, "Service Unavailable",
                             "other readers are slow, and their answers fill the memory that there "
                             "is for them; try again");
        constexpr unsigned kHttp11 = 11;
        Response response = responseOf(answer, malformed ? kHttp11 : parser.get().version(),
                                       !malformed && parser.get().keep_alive());
        keep = response.keep_alive();
        stream.expires_after(kIdle);
        beast::http::serializer<false, Response::body_type> serializer(response);
        auto write = beast::http::async_write(stream, serializer,
                                              asio::redirect_error(asio::use_awaitable, error));
        co_await std::move(write);
        if (admitted) release(answer.body);
        if (error) co_return;
        session->waiting = true;
        sessions_.splice(sessions_.end(), sessions_, session->place);
    }
}

}  // namespace nodemirror::http
