#include "files/atomic_write.hpp"

#include "base/read_file.hpp"
#include "files/entries.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>

namespace nodemirror::files {

std::string temporaryName() {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random)
        random = static_cast<uint64_t>(::getpid());
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(random));
    return std::string(kTemporaryPrefix) + buffer;
}

namespace {

Result<void> writeAll(int fd, std::string_view content, const std::string& name) {
    while (!content.empty()) {
        const ssize_t written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return Error::system("write", name, errno);
        content.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

/// Whether the owner is to be another than whoever writes: the service may not even ask otherwise.
bool changesOwner(const Access& access) {
    return (access.uid != static_cast<uid_t>(-1) && access.uid != ::geteuid()) ||
           (access.gid != static_cast<gid_t>(-1) && access.gid != ::getegid());
}

/// A copy of what another user has must not become a set-user-ID file of root's.
mode_t permissions(const Access& access) { return access.mode & 0777; }

Result<void> fill(int fd, const std::string& name, std::string_view content, const Access& access,
                  Durable durable) {
    if (const auto written = writeAll(fd, content, name); !written) return written;
    if (changesOwner(access) && ::fchown(fd, access.uid, access.gid) != 0)
        return Error::system("set the owner of", name, errno);
    // The umask must not have a say.
    if (const auto set = setMode(fd, name, permissions(access)); !set) return set;
    if (durable == Durable::Now && ::fsync(fd) != 0) return Error::system("sync", name, errno);
    return {};
}

}  // namespace

Result<void> writeNew(int directory, const std::string& name, std::string_view content,
                      const Access& access, Durable durable) {
    // Not open to its later group before that group is set.
    const mode_t first = changesOwner(access) ? 0600 : permissions(access);
    const UniqueFd fd(::openat(directory, name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, first));
    if (!fd) return Error::system("create", name, errno);
    const auto filled = fill(fd.get(), name, content, access, durable);
    if (!filled) ::unlinkat(directory, name.c_str(), 0);
    return filled;
}

Result<void> setMode(int fd, const std::string& name, mode_t mode) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return Error::system("look at", name, errno);
    // A change costs a transaction of the file system, and mostly there is none.
    if ((status.st_mode & 07777) != mode && ::fchmod(fd, mode) != 0)
        return Error::system("set the mode of", name, errno);
    return {};
}

Result<void> syncDirectory(int directory) {
    if (::fsync(directory) != 0) return Error::system("sync", "the directory", errno);
    return {};
}

Result<void> writeAtomically(int directory, const std::string& name, std::string_view content,
                             const Access& access, Existing existing) {
    const std::string temporary = temporaryName();
    if (const auto written = writeNew(directory, temporary, content, access); !written)
        return written;
    const int renamed = existing == Existing::Keep
                            ? renameNoReplace(directory, temporary, name)
                            : ::renameat(directory, temporary.c_str(), directory, name.c_str());
    if (renamed != 0) {
        const int code = errno;
        ::unlinkat(directory, temporary.c_str(), 0);
        return Error::system("put in place", name, code);
    }
    return syncDirectory(directory);
}

Result<UniqueFd> openDirectory(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return Error::system("open the directory", path, errno);
    return fd;
}

Result<void> writeAtomically(const std::string& path, std::string_view content,
                             const Access& access, Existing existing) {
    const size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const auto directory = openDirectory(parent);
    if (!directory) return directory.error();
    const auto written =
        writeAtomically(directory->get(), path.substr(slash + 1), content, access, existing);
    return written ? written : written.error().at(path);
}

namespace {

ino_t inodeOf(int directory, const std::string& name) {
    struct stat status {};
    return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_ino
                                                                                 : 0;
}

/// What is somebody's must not have a name under which it would be removed as a leftover.
Error keepBeside(int directory, const std::string& temporary, const std::string& name) {
    for (int i = 1; i < 10; ++i) {
        const std::string kept = name + ".aside-" + std::to_string(i);
        if (renameNoReplace(directory, temporary, kept) == 0)
            return {"edit", name, "it changed meanwhile, again and again; one text is in " + kept};
    }
    return {"edit", name, "it changed meanwhile; what it held is in " + temporary};
}

}  // namespace

// What was displaced tells what was there as the new file took its place.
Result<void> exchangeAtomically(int directory, const std::string& name, const Expected& expected,
                                std::string_view content, const Access& access) {
    const std::string temporary = temporaryName();
    if (const auto written = writeNew(directory, temporary, content, access); !written)
        return written;
    const auto drop = [&] { ::unlinkat(directory, temporary.c_str(), 0); };
    const ino_t ours = inodeOf(directory, temporary);
    if (exchange(directory, temporary, name) != 0) {
        // Not every file system exchanges (EINVAL): there the moment is not guarded.
        if (errno == EINVAL &&
            ::renameat(directory, temporary.c_str(), directory, name.c_str()) == 0)
            return syncDirectory(directory);
        const int code = errno;
        drop();
        return Error::system("put in place", name, code);
    }
    const UniqueFd displaced(
        ::openat(directory, temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    // Who has it open for writing would go on writing into what has no name any more.
    const auto before = displaced
                            ? readRest(displaced.get(), name, expected.most, Unfinished::Refuse)
                            : Error::system("read", name, errno);
    if (before && expected.is(*before)) {
        drop();
        return syncDirectory(directory);
    }
    if (exchange(directory, temporary, name) != 0 || inodeOf(directory, temporary) != ours)
        return keepBeside(directory, temporary, name);
    drop();
    if (!before && before.error().transient()) return before.error();
    return changedMeanwhile("edit", name);
}

Result<void> exchangeAtomically(const std::string& path, std::string_view expected,
                                std::string_view content, const Access& access) {
    const size_t slash = path.rfind('/');
    const auto directory =
        openDirectory(slash == std::string::npos ? "." : path.substr(0, slash + 1));
    if (!directory) return directory.error();
    const Expected same{[expected](std::string_view text) { return text == expected; },
                        expected.size()};
    const auto written =
        exchangeAtomically(directory->get(), path.substr(slash + 1), same, content, access);
    return written ? written : written.error().at(path);
}

void removeLeftovers(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) return;
    while (const dirent* entry = ::readdir(dir.get()))
        if (std::string_view(entry->d_name).substr(0, kTemporaryPrefix.size()) == kTemporaryPrefix)
            ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
}

}  // namespace nodemirror::files
