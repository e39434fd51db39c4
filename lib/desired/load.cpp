#include "desired/load.hpp"

#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace nodemirror {

namespace {

Result<void> refuseOthers(const std::string& path, const struct stat& status) {
    if (::geteuid() != 0) return {};
    if (status.st_uid != 0)
        return Error("read", path,
                     "it belongs to uid " + std::to_string(status.st_uid) + ", who could change it",
                     "chown root " + path);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return Error("read", path, "others may write it", "chmod go-w " + path);
    return {};
}

}  // namespace

Result<std::string> readWholeFile(const std::string& path, size_t most, Writers writers) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return Error::system("read", path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Error::system("read", path, errno);
    if (!S_ISREG(status.st_mode)) return Error("read", path, "it is no regular file");
    if (writers == Writers::RootOnly)
        if (const auto closed = refuseOthers(path, status); !closed) return closed.error();
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
    for (const char* home : {"/root/", "/home/", "/run/user/"})
        if (path.rfind(home, 0) == 0)
            return Error("read", path,
                         "it lies in a home directory, which the service does not see",
                         "put it below /etc/nodemirrord");
    return readWholeFile(path, kMost, Writers::RootOnly);
}

}  // namespace nodemirror
