#pragma once

#include "containerd/rpc_connection.hpp"
#include "ports/task.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// Calls to a gRPC server on a unix socket. A connection is opened when a call needs one and kept;
/// nothing runs while no call is under way.
class RpcChannel {
  public:
    RpcChannel(boost::asio::io_context& io, std::string socket);
    ~RpcChannel();
    RpcChannel(const RpcChannel&) = delete;
    RpcChannel& operator=(const RpcChannel&) = delete;

    struct Reply {
        RpcStatus status;
        std::string message;  ///< serialized
    };
    /// A unary call; `path` is /package.Service/Method.
    Task<Reply> call(std::string path, std::string request, std::chrono::milliseconds timeout);
    /// A stream of the server, until it ends.
    Task<RpcStatus> stream(std::string path, std::string request,
                           std::function<void(std::string_view)> message);
    /// Ends every call that is under way; later calls fail at once.
    void stop();

    /// A connection of its own to the same socket, not blocking; errno is set where there is none.
    UniqueFd dial() const;

  private:
    /// Until the call has a status.
    Task<void> run(std::shared_ptr<RpcCall> call);
    std::shared_ptr<RpcConnection> connection();

    boost::asio::io_context& io_;
    std::string socket_;
    std::shared_ptr<RpcConnection> connection_;
    std::vector<std::weak_ptr<RpcConnection>> all_;  ///< that one, and those that are going away
    bool stopped_ = false;
};

}  // namespace nodemirror
