#include "desired/load.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace nodemirror {

Result<std::string> readWholeFile(const std::string& path, size_t most) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return Error::system("read", path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Error::system("read", path, errno);
    if (!S_ISREG(status.st_mode)) return Error("read", path, "it is no regular file");
    const Error tooLarge("read", path, "it is larger than " + std::to_string(most) + " bytes");
    if (status.st_size > 0 && static_cast<size_t>(status.st_size) > most) return tooLarge;
    std::string out;
    char buffer[65536];
    while (true) {
        const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::system("read", path, errno);
        if (got == 0) return out;
        out.append(buffer, static_cast<size_t>(got));
        if (out.size() > most) return tooLarge;
    }
}

Result<std::string> readReferencedFile(const std::string& path) {
    constexpr size_t kMost = 1U << 20;
    return readWholeFile(path, kMost);
}

}  // namespace nodemirror
