#include "files/process_age.hpp"

#include "base/text.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>

namespace nodemirror::files {

namespace {

double readSeconds(const std::string& path) {
    std::ifstream in(path);
    double value = -1;
    in >> value;
    return value;
}

/// How long a process has been running, in seconds; negative when unknown. From the boot clock, so
/// that a wall clock that was set does not matter (proc(5), /proc/pid/stat field 22).
double processAge(int pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    const size_t close = text.rfind(')');
    if (close == std::string::npos) return -1;
    const auto fields = split(text.substr(close + 2), ' ');
    constexpr size_t kStart = 19;  // field 22, counted from the one behind the name
    const double uptime = readSeconds("/proc/uptime");
    if (fields.size() <= kStart || uptime < 0) return -1;
    return uptime - std::strtod(fields[kStart].c_str(), nullptr) /
                        static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double fileAge(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return -1;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    // The change time too: cp -p keeps the modification time of what it copies.
    const auto age = [&](const timespec& time) {
        return static_cast<double>(now.tv_sec - time.tv_sec) +
               1e-9 * static_cast<double>(now.tv_nsec - time.tv_nsec);
    };
    return std::min(age(status.st_mtim), age(status.st_ctim));
}

}  // namespace

Seen<bool> startedAfter(int pid, const std::vector<std::string>& paths) {
    const double running = pid > 0 ? processAge(pid) : -1;
    if (running < 0) return Seen<bool>::unknown("containerd's process cannot be looked at");
    bool older = true;
    for (const auto& path : paths) {
        const double age = fileAge(path);
        if (age < 0) return Seen<bool>::unknown(path + " cannot be looked at");
        older = older && age > running;
    }
    return Seen<bool>::known(older);
}

}  // namespace nodemirror::files
