#pragma once

#include "base/result.hpp"
#include "ports/task.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// Looks up names with getaddrinfo(3), as glibc does for everybody on the node. That call cannot be
/// cancelled, so it runs in a few threads of its own, which end when nothing is left to look up,
/// and whoever waited long enough goes on without it; a name server that hangs holds up other
/// lookups at most, never the loop. Whoever asks for a name that is being looked up waits for the
/// same answer.
class Resolver {
  public:
    explicit Resolver(boost::asio::io_context& io);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// The error's reason is in the words of Go's net package.
    Task<Result<std::vector<boost::asio::ip::address>>> resolve(std::string name,
                                                                std::chrono::nanoseconds timeout);

  private:
    struct LookUp;
    struct Shared;
    std::shared_ptr<LookUp> lookUp(const std::string& name);
    bool enqueue(const std::string& name);
    static void work(const std::shared_ptr<Shared>& shared);

    std::shared_ptr<Shared> shared_;
};

}  // namespace nodemirror
