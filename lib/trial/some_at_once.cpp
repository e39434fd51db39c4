#include "trial/some_at_once.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

struct Turns {
    const std::function<Task<void>(size_t)>& work;
    size_t count;
    asio::steady_timer done;  ///< cancelled when the last worker ends
    size_t next = 0;
    size_t running = 0;
    std::exception_ptr failure = nullptr;
};

/// Takes the turn that is next until there are none.
Task<void> takeTurns(Turns& turns) {
    while (turns.next < turns.count) {
        auto task = turns.work(turns.next++);
        try {
            co_await std::move(task);
        } catch (...) {
            turns.failure = std::current_exception();
        }
    }
}

}  // namespace

Task<void> someAtOnce(asio::io_context& io, size_t most, size_t count,
                      std::function<Task<void>(size_t)> work) {
    if (count == 0) co_return;
    Turns turns{work, count, asio::steady_timer(io, asio::steady_timer::time_point::max())};
    const auto ended = [&turns](std::exception_ptr error) {
        if (error) turns.failure = error;
        if (--turns.running == 0) turns.done.cancel();
    };
    turns.running = std::min(most, count);
    for (size_t i = turns.running; i > 0; --i) asio::co_spawn(io, takeTurns(turns), ended);
    boost::system::error_code ignored;
    auto wait = turns.done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(wait);
    if (turns.failure) std::rethrow_exception(turns.failure);
}

}  // namespace nodemirror
