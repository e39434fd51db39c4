#include "cli/run.hpp"

#include "base/text.hpp"
#include "base/time.hpp"
#include "cli/output.hpp"

#include <boost/asio/co_spawn.hpp>

namespace nodemirror::cli {

int runCommand(const std::function<Task<int>(boost::asio::io_context&)>& command) {
    boost::asio::io_context io;
    int code = kUsage;
    // The connection to D-Bus would keep run() waiting: it is ended by hand.
    const auto done = [&io, &code](std::exception_ptr failure, int answer) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
        code = answer;
    };
    boost::asio::co_spawn(io, command(io), done);
    io.run();
    return code;
}

std::optional<Patience> patienceFrom(const std::string& timeout) {
    const auto duration = parseGoDuration(timeout);
    if (!duration || duration->count() <= 0 || *duration > std::chrono::hours(1)) {
        complain("--timeout " + inQuotes(timeout) +
                 " is no duration of at most an hour; write it as 5s or 500ms");
        return std::nullopt;
    }
    Patience patience;
    patience.connect = std::min<Duration>(patience.connect, *duration);
    patience.handshake = std::min<Duration>(patience.handshake, *duration);
    patience.answer = patience.body = *duration;
    return patience;
}

}  // namespace nodemirror::cli
