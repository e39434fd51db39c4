#include "files/writers.hpp"

#include "base/time.hpp"

#include <sys/stat.h>

#include <chrono>

namespace nodemirror::files {

std::string tracesOf(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return "";
    const WallTime changed{std::chrono::duration_cast<WallTime::duration>(
        std::chrono::seconds(status.st_mtim.tv_sec) +
        std::chrono::nanoseconds(status.st_mtim.tv_nsec))};
    return "last written " + rfc3339(changed) + ", owner uid " + std::to_string(status.st_uid);
}

}  // namespace nodemirror::files
