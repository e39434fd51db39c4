#include "containerd/rpc_channel.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

/// At a deadline either side may be the first to end the call.
constexpr std::chrono::milliseconds kMargin{50};

}  // namespace

RpcChannel::RpcChannel(asio::io_context& io, std::string socket)
    : io_(io), socket_(std::move(socket)) {}

RpcChannel::~RpcChannel() { stop(); }

UniqueFd RpcChannel::dial() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return {};
    }
    socket_.copy(address.sun_path, socket_.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // On a unix socket this is done at once, or fails: with EAGAIN where the server's backlog is
    // full (connect(2)).
    if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return {};
    return fd;
}

/// Null, with errno set, where there is none to be had.
std::shared_ptr<RpcConnection> RpcChannel::connection() {
    if (connection_ && connection_->usable()) return connection_;
    // Calls of a connection that is going away keep it until they end.
    connection_.reset();
    UniqueFd fd = dial();
    if (!fd) return nullptr;
    connection_ = std::make_shared<RpcConnection>(io_, std::move(fd));
    connection_->start();
    std::erase_if(all_, [](const auto& weak) { return weak.expired(); });
    all_.push_back(connection_);
    return connection_;
}

Task<void> RpcChannel::run(std::shared_ptr<RpcCall> call) {
    if (stopped_) {
        call->status = RpcStatus{RpcStatus::Cancelled, "the client is stopping"};
        co_return;
    }
    const auto used = connection();
    if (!used) {
        call->status = RpcStatus{RpcStatus::Unavailable,
                                 "connect to " + socket_ + ": " + std::strerror(errno)};
        co_return;
    }
    const auto deadline = call->timeout.count() > 0
                              ? std::chrono::steady_clock::now() + call->timeout
                              : std::chrono::steady_clock::time_point::max();
    used->begin(call);
    while (!call->status) {
        boost::system::error_code ignored;
        call->ended.expires_at(deadline);
        auto wait = call->ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
        if (call->status || std::chrono::steady_clock::now() < deadline) continue;
        call->status = RpcStatus{RpcStatus::DeadlineExceeded, "no answer in time"};
        used->cancel(call);
    }
    const bool late = std::chrono::steady_clock::now() >= deadline - kMargin;
    if (call->status->code == RpcStatus::Cancelled && late)
        call->status->code = RpcStatus::DeadlineExceeded;
}

Task<RpcChannel::Reply> RpcChannel::call(std::string path, std::string request,
                                         std::chrono::milliseconds timeout) {
    auto call = std::make_shared<RpcCall>(io_);
    call->path = std::move(path);
    call->request = std::move(request);
    call->timeout = timeout;
    auto message = std::make_shared<std::string>();
    call->onMessage = [message](std::string_view bytes) { *message = bytes; };
    auto task = run(call);
    co_await std::move(task);
    Reply reply;
    reply.status = std::move(*call->status);
    reply.message = std::move(*message);
    co_return reply;
}

Task<RpcStatus> RpcChannel::stream(std::string path, std::string request,
                                   std::function<void(std::string_view)> message) {
    auto call = std::make_shared<RpcCall>(io_);
    call->path = std::move(path);
    call->request = std::move(request);
    call->onMessage = std::move(message);
    auto task = run(call);
    co_await std::move(task);
    co_return std::move(*call->status);
}

void RpcChannel::stop() {
    stopped_ = true;
    for (const auto& weak : all_)
        if (const auto connection = weak.lock())
            connection->close({RpcStatus::Cancelled, "the client is stopping"});
}

}  // namespace nodemirror
