#include "probe/resolver.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netdb.h>

#include <algorithm>
#include <memory>

namespace nodemirror {

namespace asio = boost::asio;
using Addresses = std::vector<asio::ip::address>;

namespace {

constexpr size_t kThreads = 4;

struct LookUp {
    explicit LookUp(asio::io_context& io) : done(io) {}
    asio::steady_timer done;  ///< cancelled when the answer is there
    bool answered = false;
    int code = 0;
    Addresses addresses;
};

struct AddrInfoFree {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

int lookUp(const std::string& name, Addresses& out) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* raw = nullptr;
    const int code = ::getaddrinfo(name.c_str(), nullptr, &hints, &raw);
    const std::unique_ptr<addrinfo, AddrInfoFree> list(raw);
    for (const addrinfo* item = list.get(); code == 0 && item != nullptr; item = item->ai_next) {
        if (item->ai_family == AF_INET) {
            const auto* v4 = reinterpret_cast<const sockaddr_in*>(item->ai_addr);
            out.emplace_back(asio::ip::address_v4(ntohl(v4->sin_addr.s_addr)));
        } else if (item->ai_family == AF_INET6) {
            const auto* v6 = reinterpret_cast<const sockaddr_in6*>(item->ai_addr);
            asio::ip::address_v6::bytes_type bytes;
            std::copy(v6->sin6_addr.s6_addr, v6->sin6_addr.s6_addr + 16, bytes.begin());
            out.emplace_back(asio::ip::address_v6(bytes, v6->sin6_scope_id));
        }
    }
    return code;
}

Error notFound(const std::string& name, const std::string& why) {
    return {"look up", name, "lookup " + name + ": " + why,
            "check /etc/resolv.conf and /etc/hosts of the node"};
}

}  // namespace

Resolver::~Resolver() {
    // A lookup that hangs is not waited for; programs with one end by _exit(2).
    if (threads_) (void)threads_.release();
}

Task<Result<Addresses>> Resolver::resolve(std::string name, std::chrono::nanoseconds timeout) {
    boost::system::error_code ignored;
    const auto literal = asio::ip::make_address(name, ignored);
    if (!ignored) co_return Addresses{literal};
    if (!threads_) threads_ = std::make_unique<asio::thread_pool>(kThreads);
    auto state = std::make_shared<LookUp>(io_);
    state->done.expires_after(timeout);
    auto work = std::make_shared<asio::io_context::work>(io_);
    auto ask = [this, state, name, work]() mutable {
        Addresses found;
        const int code = lookUp(name, found);
        auto tell = [state, code, found = std::move(found)]() mutable {
            state->answered = true;
            state->code = code;
            state->addresses = std::move(found);
            state->done.cancel();
        };
        asio::post(io_, std::move(tell));
        work.reset();
    };
    asio::post(*threads_, std::move(ask));
    auto wait = state->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(wait);
    if (!state->answered) co_return notFound(name, "i/o timeout");
    if (state->code == EAI_NONAME || state->code == EAI_NODATA)
        co_return notFound(name, "no such host");
    if (state->code != 0) co_return notFound(name, ::gai_strerror(state->code));
    co_return std::move(state->addresses);
}

}  // namespace nodemirror
