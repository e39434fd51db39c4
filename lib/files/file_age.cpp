#include "files/file_age.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <ctime>

namespace nodemirror::files {

namespace {

using Seconds = std::chrono::duration<double>;

/// How long ago a file was last changed; nothing where it cannot be looked at.
std::optional<Seconds> ageOf(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    // The change time too: cp -p keeps the modification time of what it copies.
    const auto age = [&](const timespec& time) {
        return static_cast<double>(now.tv_sec - time.tv_sec) +
               1e-9 * static_cast<double>(now.tv_nsec - time.tv_nsec);
    };
    return Seconds(std::min(age(status.st_mtim), age(status.st_ctim)));
}

}  // namespace

Seen<bool> startedAfter(const std::optional<SteadyTime>& started, const std::string& socket,
                        const std::vector<std::string>& paths) {
    // Ages are compared, not times: a wall clock that was set does not matter to a process's.
    std::optional<Seconds> running = ageOf(socket);
    if (started) running = Seconds(std::chrono::steady_clock::now() - *started);
    if (!running) return Seen<bool>::unknown("when containerd was started cannot be told");
    bool older = true;
    for (const auto& path : paths) {
        const auto age = ageOf(path);
        if (!age) return Seen<bool>::unknown(path + " cannot be looked at");
        older = older && *age > *running;
    }
    return Seen<bool>::known(older);
}

}  // namespace nodemirror::files
