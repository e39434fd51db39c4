#include "files/file_age.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <ctime>

namespace nodemirror::files {

namespace {

WallTime wallTime(const timespec& time) {
    return WallTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

/// Whether a file was last changed before a process was started. Its times are of the wall clock,
/// which may have been set in between: both ways to compare must say the same.
Seen<bool> changedBefore(const std::string& path, const Now& started, const Now& now) {
    struct stat status {};
    struct stat link {};
    if (::stat(path.c_str(), &status) != 0 || ::lstat(path.c_str(), &link) != 0)
        return Seen<bool>::unknown(path + " cannot be looked at");
    // The change time: cp -p keeps the modification time of what it copies, and tar sets it.
    const WallTime changed = std::max(wallTime(status.st_ctim), wallTime(link.st_ctim));
    if (changed > now.wall) return Seen<bool>::unknown(path + " was changed at a time to come");
    const bool byTime = changed < started.wall;
    const bool byAge = now.wall - changed > now.steady - started.steady;
    if (byTime != byAge)
        return Seen<bool>::unknown("the clock was set after " + path +
                                   " was changed or containerd was started");
    return Seen<bool>::known(byTime);
}

/// When the socket was made, by both clocks as far as the clock was not set since; nothing where it
/// was.
std::optional<Now> madeAt(const std::string& socket, const Now& now) {
    struct stat status {};
    if (::stat(socket.c_str(), &status) != 0) return std::nullopt;
    const WallTime made = wallTime(status.st_mtim);  // its group and mode may be changed later
    if (made > now.wall) return std::nullopt;
    return Now{now.steady - (now.wall - made), made};
}

}  // namespace

Seen<bool> startedAfter(std::optional<Now> started, const std::string& socket,
                        const std::vector<std::string>& paths) {
    const Now now{std::chrono::steady_clock::now(), std::chrono::system_clock::now()};
    if (!started) started = madeAt(socket, now);
    if (!started) return Seen<bool>::unknown("when containerd was started cannot be told");
    Seen<bool> all = Seen<bool>::known(true);
    for (const auto& path : paths) {
        auto before = changedBefore(path, *started, now);
        if (before.isKnown() && !before.value()) return before;
        if (before.isUnknown()) all = std::move(before);
    }
    return all;
}

}  // namespace nodemirror::files
