#include "probe/resolver.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netdb.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace nodemirror {

namespace asio = boost::asio;
using Addresses = std::vector<asio::ip::address>;

namespace {

/// Names whose servers hang hold one each, and those of one dead zone may be many.
constexpr size_t kThreads = 8;

struct AddrInfoFree {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

int getAddresses(const std::string& name, Addresses& out) {
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

struct Resolver::LookUp {
    bool answered = false;
    int code = 0;
    Addresses addresses;
    std::vector<std::shared_ptr<asio::steady_timer>> waiting;  ///< cancelled with the answer
};

/// What outlives the resolver while a thread hangs in getaddrinfo.
struct Resolver::Shared {
    std::mutex mutex;                ///< of `io`, `queue` and `threads`; the rest is the loop's own
    asio::io_context* io = nullptr;  ///< null once the resolver is gone
    std::deque<std::string> queue;
    size_t threads = 0;
    std::map<std::string, std::shared_ptr<LookUp>> underWay;

    void answered(const std::string& name, int code, Addresses addresses) {
        const auto found = underWay.find(name);
        if (found == underWay.end()) return;
        const auto state = found->second;
        underWay.erase(found);
        state->answered = true;
        state->code = code;
        state->addresses = std::move(addresses);
        for (const auto& timer : state->waiting) timer->cancel();
        state->waiting.clear();
    }
};

Resolver::Resolver(asio::io_context& io) : shared_(std::make_shared<Shared>()) {
    shared_->io = &io;
}

Resolver::~Resolver() {
    const std::lock_guard lock(shared_->mutex);
    // A lookup that hangs is not waited for; programs with one end by _exit(2).
    shared_->io = nullptr;
    shared_->queue.clear();
    shared_->underWay.clear();
}

/// What a thread does until nothing is left.
void Resolver::work(const std::shared_ptr<Shared>& shared) {
    while (true) {
        std::string name;
        {
            const std::lock_guard lock(shared->mutex);
            if (shared->queue.empty()) {
                --shared->threads;
                return;
            }
            name = std::move(shared->queue.front());
            shared->queue.pop_front();
        }
        Addresses found;
        const int code = getAddresses(name, found);
        auto tell = [shared, name, code, found = std::move(found)]() mutable {
            shared->answered(name, code, std::move(found));
        };
        const std::lock_guard lock(shared->mutex);
        if (shared->io != nullptr) asio::post(*shared->io, std::move(tell));
    }
}

/// False where there is no thread to look it up: the node has as many as it may.
bool Resolver::enqueue(const std::string& name) {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->queue.push_back(name);
        if (shared_->threads >= kThreads) return true;
        ++shared_->threads;
    }
    try {
        std::thread([shared = shared_] { work(shared); }).detach();
        return true;
    } catch (const std::system_error&) {
        const std::lock_guard lock(shared_->mutex);
        --shared_->threads;
        if (shared_->threads > 0) return true;
        std::erase(shared_->queue, name);
        return false;
    }
}

/// The lookup of this name that is under way, begun if there is none.
std::shared_ptr<Resolver::LookUp> Resolver::lookUp(const std::string& name) {
    const auto found = shared_->underWay.find(name);
    if (found != shared_->underWay.end()) return found->second;
    const auto asked = std::make_shared<LookUp>();
    shared_->underWay[name] = asked;
    if (!enqueue(name)) shared_->answered(name, EAI_AGAIN, {});
    return asked;
}

Task<Result<Addresses>> Resolver::resolve(std::string name, std::chrono::nanoseconds timeout) {
    boost::system::error_code ignored;
    const auto literal = asio::ip::make_address(name, ignored);
    if (!ignored) co_return Addresses{literal};
    const auto state = lookUp(name);
    if (!state->answered) {
        const auto timer = std::make_shared<asio::steady_timer>(*shared_->io, timeout);
        state->waiting.push_back(timer);
        auto wait = timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
        std::erase(state->waiting, timer);
    }
    if (!state->answered) co_return notFound(name, "i/o timeout");
    if (state->code == EAI_NONAME || state->code == EAI_NODATA)
        co_return notFound(name, "no such host");
    if (state->code != 0) co_return notFound(name, ::gai_strerror(state->code));
    co_return state->addresses;
}

}  // namespace nodemirror
