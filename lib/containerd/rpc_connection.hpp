#pragma once

#include "base/unique_fd.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nghttp2/nghttp2.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

/// How a call ended (gRPC, doc/statuscodes.md).
struct RpcStatus {
    enum Code : int {
        Ok = 0,
        Cancelled = 1,
        Unknown = 2,
        DeadlineExceeded = 4,
        NotFound = 5,
        AlreadyExists = 6,
        ResourceExhausted = 8,
        Unimplemented = 12,
        Internal = 13,
        Unavailable = 14
    };
    int code = Ok;
    std::string message;

    bool ok() const { return code == Ok; }
};

/// One call on a connection.
struct RpcCall {
    explicit RpcCall(boost::asio::io_context& io) : ended(io) {}

    std::string path;                      ///< /package.Service/Method
    std::string request;                   ///< serialized
    std::chrono::milliseconds timeout{0};  ///< told to the server; 0: none
    /// Runs for every message that the server sends.
    std::function<void(std::string_view)> onMessage;

    /// How it ended; nothing while it is under way. `ended` is cancelled then.
    std::optional<RpcStatus> status;
    boost::asio::steady_timer ended;

    // Of the connection.
    int32_t stream = -1;
    size_t sent = 0;
    std::string received;  ///< not yet a whole message
    int httpStatus = 0;
    std::optional<int> grpcStatus;
    std::string grpcMessage;
    std::optional<uint32_t> closed;  ///< the stream's HTTP/2 error code
};

/// gRPC's wire protocol (doc/PROTOCOL-HTTP2.md) on one HTTP/2 connection: unary calls and streams
/// of a server, without TLS and compression. Everything runs on the io_context.
class RpcConnection : public std::enable_shared_from_this<RpcConnection> {
  public:
    /// Takes a connected, non-blocking stream socket.
    RpcConnection(boost::asio::io_context& io, UniqueFd socket);
    ~RpcConnection();
    RpcConnection(const RpcConnection&) = delete;
    RpcConnection& operator=(const RpcConnection&) = delete;

    /// Begins to read; once, before the first call.
    void start();
    /// Whether further calls may be begun on it.
    bool usable() const { return !closed_ && !goingAway_; }
    void begin(std::shared_ptr<RpcCall> call);
    /// Gives a call up; the server is told.
    void cancel(const std::shared_ptr<RpcCall>& call);
    /// Ends every call with this status.
    void close(const RpcStatus& status);

  private:
    friend struct RpcCallbacks;

    boost::asio::awaitable<void> readUntilClosed();
    void flush();
    void closeWhenOver();
    void deliver();
    void deliver(RpcCall& call);
    void finish(RpcCall& call, RpcStatus status);
    RpcCall* callOf(int32_t stream);

    boost::asio::local::stream_protocol::socket socket_;
    std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_;
    std::map<int32_t, std::shared_ptr<RpcCall>> calls_;  ///< by stream
    std::string sending_;
    bool writing_ = false;
    bool goingAway_ = false;
    bool broken_ = false;  ///< what came was no HTTP/2
    bool closed_ = false;
};

}  // namespace nodemirror
