#include "base/read_file.hpp"

#include "base/trusted_path.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

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

Error tooLarge(const std::string& name, size_t most) {
    return {"read", name,
            most % (1U << 20) == 0 ? "it is larger than " + std::to_string(most >> 20) + " MiB"
                                   : "it is larger than " + std::to_string(most) + " bytes"};
}

/// Where a lease is the server's to give, none means nothing (nfs4_add_lease: EAGAIN where there is
/// no delegation; the like of SMB).
bool isRemote(int fd) {
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0) return true;
    constexpr std::array<unsigned, 7> kRemote{NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                              SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, V9FS_MAGIC,
                                              FUSE_SUPER_MAGIC};
    // 32 bits, which some architectures extend by their sign.
    return std::find(kRemote.begin(), kRemote.end(), static_cast<unsigned>(system.f_type)) !=
           kRemote.end();
}

/// A read lease (fcntl(2), F_SETLEASE): it is not given while anybody has the file open for
/// writing, and whoever opens it for that waits until it is given back, which is when this ends.
class ReadLease {
  public:
    explicit ReadLease(int fd) : fd_(fd) {
        if (isRemote(fd)) return;
        // Of the two signals that would tell of somebody waiting, the usual one ends the process.
        ::fcntl(fd, F_SETSIG, SIGURG);
        held_ = ::fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
        beingWritten_ = !held_ && errno == EAGAIN;
    }
    ~ReadLease() {
        if (held_) ::fcntl(fd_, F_SETLEASE, F_UNLCK);
    }
    ReadLease(const ReadLease&) = delete;
    ReadLease& operator=(const ReadLease&) = delete;

    bool beingWritten() const { return beingWritten_; }

  private:
    int fd_;
    bool held_ = false;
    bool beingWritten_ = false;
};

/// For reading, the very file that O_PATH found (openat(2)): by its name it could be another by
/// now.
UniqueFd openAgain(int place, const std::string& path) {
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd(::open(("/proc/self/fd/" + std::to_string(place)).c_str(), kFlags));
    if (!fd && errno == ENOENT && ::access("/proc/self/fd", F_OK) != 0)
        fd = UniqueFd(::open(path.c_str(), kFlags));  // no /proc here
    return fd;
}

Result<std::string> readPlace(int place, const std::string& path, size_t most, Writers writers,
                              Unfinished unfinished) {
    struct stat status {};
    if (::fstat(place, &status) != 0) return Error::system("read", path, errno);
    if (S_ISDIR(status.st_mode)) return Error::system("read", path, EISDIR);
    if (!S_ISREG(status.st_mode)) return Error("read", path, "it is no regular file");
    const UniqueFd fd = openAgain(place, path);
    if (!fd) return Error::system("read", path, errno);
    if (writers != Writers::Anyone)
        if (const auto closed = refuseOthers(path, status); !closed) return closed.error();
    if (status.st_size > 0 && static_cast<size_t>(status.st_size) > most)
        return tooLarge(path, most);
    return readRest(fd.get(), path, most, unfinished);
}

Error isUnfinished(const std::string& name) {
    return Error::passing(
        "read", name,
        "somebody has it open for writing, and may not be done: it is read when they are",
        "if it stays so, fuser -v " + name + " tells who");
}

}  // namespace

Result<std::string> readWholeFile(const std::string& path, size_t most, Writers writers,
                                  Unfinished unfinished) {
    if (writers == Writers::RootOnTheWayToo)
        if (const auto ours = refuseOthersOnTheWay(path); !ours) return ours.error();
    // Looked at before it is opened: some devices do something when they are.
    const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!place) return Error::system("read", path, errno);
    return readPlace(place.get(), path, most, writers, unfinished);
}

Result<std::string> readWholeFile(const UniqueFd& place, const std::string& path, size_t most,
                                  Unfinished unfinished) {
    return readPlace(place.get(), path, most, Writers::Anyone, unfinished);
}

Result<std::string> readRest(int fd, const std::string& name, size_t most, Unfinished unfinished) {
    std::optional<ReadLease> lease;
    if (unfinished == Unfinished::Refuse)
        if (lease.emplace(fd); lease->beingWritten()) return isUnfinished(name);
    std::string out;
    char buffer[16384];
    while (true) {
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::system("read", name, errno);
        if (got == 0) return out;
        out.append(buffer, static_cast<size_t>(got));
        if (out.size() > most) return tooLarge(name, most);
    }
}

bool isClosedToUs(const std::string& path) {
    return ::access(path.c_str(), R_OK) != 0 && errno == EACCES;
}

}  // namespace nodemirror
