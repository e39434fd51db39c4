/// The daemon's life: what it serves and follows, and how it ends.
#include "agent/agent.hpp"
#include "base/text.hpp"
#include "systemd/notify.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <csignal>

namespace nodemirror {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A call reaches containerd within this time.
constexpr milliseconds kSubscribed{500};

}  // namespace

Result<void> Agent::serve() {
    if (const auto listening = server_.listen(options_.statusSocket); !listening) return listening;
    handleSignals();
    watches_.setDesired(desired_.files());
    watches_.setConfig(node_.configFiles());
    watches_.open();
    // What changed between the first reading and the watch would be missed otherwise.
    reloadDesired();
    (void)reconcileEverything();
    armResync();
    beat();
    spawn(node_.run());
    spawn(followImages());
    health_.run();
    prover_.run();
    systemd::notify("READY=1");
    spdlog::info("event=serving version={} certs-dir={} socket={}", options_.version,
                 options_.certsDir, options_.statusSocket);
    io_.run();
    spdlog::info("event=stopped");
    return {};
}

void Agent::handleSignals() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) signals_.add(number);
    signals_.async_wait([this](const error_code& error, int number) {
        if (error) return;
        if (number != SIGHUP) {
            shutDown();
            return;
        }
        spdlog::info("event=reload");
        reloadDesired();
        (void)reconcileEverything();
        node_.retryImages();
        node_.trigger();
        handleSignals();
    });
}

/// Every call under way is cancelled; whatever has not ended within a moment is left behind. No
/// file is ever half-written, for each write is done in one step of the loop.
void Agent::shutDown() {
    if (stopping_) return;
    stopping_ = true;
    systemd::notify("STOPPING=1");
    spdlog::info("event=stopping");
    node_.stop();
    health_.stop();
    prover_.stop();
    server_.stop();
    containerd_.stop();
    units_.stop();
    watches_.close();
    for (auto* timer : {&dueTimer_, &reloadTimer_, &orderTimer_, &resyncTimer_, &mountTimer_,
                        &beatTimer_, &trimTimer_, &streamTimer_, &subscribedTimer_})
        timer->cancel();
    exitTimer_.expires_after(milliseconds(300));
    exitTimer_.async_wait([this](const error_code&) { io_.stop(); });
}

/// Follows containerd's image events; connects again when the stream ends.
Task<void> Agent::followImages() {
    int ended = 0;  // in turn, soon after it began
    while (!stopping_) {
        const auto began = std::chrono::steady_clock::now();
        // containerd says nothing until the first event: what was lost before it listened is
        // looked for when it surely does.
        subscribedTimer_.expires_after(kSubscribed);
        subscribedTimer_.async_wait([this](const error_code& error) {
            if (!error && !stopping_) node_.trigger();
        });
        auto stream = containerd_.watchImages([this] { node_.trigger(); });
        const Error why = co_await std::move(stream);
        subscribedTimer_.cancel();
        if (stopping_) co_return;
        spdlog::debug("event=image-events-ended msg={}", inQuotes(why.text()));
        node_.trigger();
        const bool lasted = std::chrono::steady_clock::now() - began > seconds(5);
        ended = lasted ? 0 : ended + 1;
        streamTimer_.expires_after(backoff(milliseconds(100), ended, milliseconds(2000)));
        error_code ignored;
        auto pause = streamTimer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(pause);
    }
}

}  // namespace nodemirror
