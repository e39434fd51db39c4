#pragma once

#include "base/result.hpp"
#include "ports/task.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

namespace nodemirror::http {

struct Request {
    std::string method;
    std::string target;  ///< path and query
    uid_t peer = static_cast<uid_t>(-1);
};

using Body = std::shared_ptr<const std::string>;

struct Answer {
    unsigned status = 200;
    std::string type = "application/json";
    /// Shared, so that a slow reader costs no copy and holds nothing up.
    Body body;
};

/// An answer of type application/problem+json (RFC 9457).
Answer problem(unsigned status, const std::string& title, const std::string& detail);

using Handler = std::function<Task<Answer>(Request)>;

/// HTTP/1.1 on a unix socket. The number of connections and the time that each may take to send or
/// to read are bounded; when all places are taken, a new connection takes that of the one that has
/// been waiting for a request the longest, so that idle ones keep nobody out. Answers that slow
/// readers hold are bounded to 64 MiB in all and one more. Access is by the socket's owner, group
/// and mode.
class UnixServer {
  public:
    UnixServer(boost::asio::io_context& io, Handler handler);

    /// Binds and listens: mode 0660, group nodemirror where there is one. A socket that a dead
    /// daemon left is replaced, one that is in use is an error, anything else is left alone.
    Result<void> listen(const std::string& path);
    /// Stops accepting and removes the socket.
    void stop();
    ~UnixServer();

  private:
    struct Session;
    using Sessions = std::list<std::shared_ptr<Session>>;

    Task<void> accept();
    bool makeRoom(uid_t peer);
    bool admit(const Body& body, uid_t peer);
    void release(const Body& body);
    Task<void> serve(std::shared_ptr<Session> session);

    boost::asio::io_context& io_;
    Handler handler_;
    std::string path_;
    boost::asio::local::stream_protocol::acceptor acceptor_;
    Sessions sessions_;           ///< those that have been waiting the longest come first
    std::map<Body, int> unread_;  ///< answers that are being read, with their readers
    size_t unreadBytes_ = 0;
};

}  // namespace nodemirror::http
