#include "files/entries.hpp"

#include "base/digest.hpp"
#include "files/atomic_write.hpp"
#include "hosts_toml/directories.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace nodemirror::files {

namespace {

using Type = ObservedEntry::Type;

Type typeOf(mode_t mode) {
    if (S_ISREG(mode)) return Type::File;
    if (S_ISDIR(mode)) return Type::Directory;
    return S_ISLNK(mode) ? Type::Symlink : Type::Other;
}

std::string linkTarget(int parent, const std::string& name) {
    char buffer[4096];
    const ssize_t size = ::readlinkat(parent, name.c_str(), buffer, sizeof buffer);
    return size < 0 ? "" : std::string(buffer, static_cast<size_t>(size));
}

int rename2(int parent, const std::string& from, const std::string& to, unsigned flags) {
    return static_cast<int>(
        ::syscall(SYS_renameat2, parent, from.c_str(), parent, to.c_str(), flags));
}

}  // namespace

Result<UniqueFd> openBelow(int parent, const std::string& name) {
    UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return Error::system("open the directory", name, errno);
    return fd;
}

int exchange(int parent, const std::string& one, const std::string& other) {
    return rename2(parent, one, other, RENAME_EXCHANGE);
}

namespace {

/// A directory takes the place of nothing but an empty one in any case, and a file can have two
/// names for a moment.
int renameWithoutFlags(int parent, const std::string& from, const std::string& to) {
    struct stat status {};
    if (::fstatat(parent, to.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    if (::fstatat(parent, from.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    if (S_ISDIR(status.st_mode)) return ::renameat(parent, from.c_str(), parent, to.c_str());
    if (::linkat(parent, from.c_str(), parent, to.c_str(), 0) != 0) return -1;
    return ::unlinkat(parent, from.c_str(), 0);
}

}  // namespace

int renameNoReplace(int parent, const std::string& from, const std::string& to) {
    const int done = rename2(parent, from, to, RENAME_NOREPLACE);
    return done != 0 && errno == EINVAL ? renameWithoutFlags(parent, from, to) : done;
}

Error notExchanged(const std::string& context, const std::string& name, int code) {
    const Error error = Error::system(context, name, code);
    if (code != EINVAL) return error;
    return error.inWords(
        "something is in its place, and this file system cannot exchange two names in one step",
        "move it away");
}

Error changedMeanwhile(const std::string& context, const std::string& name) {
    return Error::passing(context, name, "it changed meanwhile", "it is tried again by itself");
}

Result<Type> typeOf(int parent, const std::string& name) {
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
        return typeOf(status.st_mode);
    if (errno == ENOENT) return Type::Absent;
    return Error::system("look at", name, errno);
}

bool Stamp::operator==(const Stamp& other) const {
    return inode == other.inode && device == other.device && mode == other.mode &&
           uid == other.uid && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
}

std::optional<Stamp> stampOf(int parent, const std::string& path) {
    struct stat status {};
    if (::fstatat(parent, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    Stamp out;
    out.inode = status.st_ino;
    out.device = status.st_dev;
    out.mode = status.st_mode;
    out.uid = status.st_uid;
    out.size = status.st_size;
    out.changed = status.st_ctim;
    return out;
}

bool isFresh(const Stamp& stamp) {
    // The kernel stamps with the time of its last tick, a few milliseconds apart.
    constexpr time_t kSafely = 1;
    return stamp.changed.tv_sec + kSafely >= ::time(nullptr);
}

bool isDenied(const Error& error) { return error.code() == EACCES || error.code() == EPERM; }

bool isForeign(uid_t uid, gid_t gid) { return uid != ::geteuid() || gid != ::getegid(); }

bool isForeign(const ObservedEntry& entry) {
    const bool isWord = entry.type == Type::File || entry.type == Type::Symlink;
    return isWord && isForeign(entry.uid, entry.gid);
}

namespace {

ObservedEntry entryOf(const struct stat& status) {
    ObservedEntry entry;
    entry.type = typeOf(status.st_mode);
    entry.mode = status.st_mode & 07777;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.tooLarge = entry.type == Type::File && status.st_size > kLargestHosts;
    return entry;
}

}  // namespace

Result<ObservedEntry> observeFile(int parent, const std::string& name, Unfinished unfinished) {
    const UniqueFd fd(
        ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) return Error::system("read", name, errno);
    ObservedEntry entry = entryOf(status);
    if (entry.type != Type::File) return changedMeanwhile("read", name);
    if (entry.tooLarge) return entry;
    auto content = readRest(fd.get(), name, static_cast<size_t>(kLargestHosts), unfinished);
    if (!content) return content.error();
    entry.content = std::move(*content);
    entry.sha256 = sha256Hex(entry.content);
    return entry;
}

Result<ObservedEntry> observeEntry(int parent, const std::string& name) {
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return ObservedEntry();
        return Error::system("look at", name, errno);
    }
    ObservedEntry entry = entryOf(status);
    if (entry.type == Type::Symlink) entry.target = linkTarget(parent, name);
    if (entry.type != Type::File || entry.tooLarge) return entry;
    auto file = observeFile(parent, name, Unfinished::Read);
    // Another user's private file, or one with their lease on it (fcntl(2), F_SETLEASE): what it
    // says stays with them, that it is theirs is known.
    const bool kept = !file && (isDenied(file.error()) || file.error().code() == EAGAIN);
    entry.unreadable = kept && entry.uid != ::geteuid();
    return entry.unreadable ? Result<ObservedEntry>(std::move(entry)) : file;
}

bool isTemporary(const std::string& name) {
    return name.compare(0, kTemporaryPrefix.size(), kTemporaryPrefix) == 0;
}

Result<std::vector<std::string>> namesIn(int directory, size_t most) {
    UniqueFd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!copy) return Error::system("list", "the directory", errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(copy.get()), ::closedir);
    if (!dir) return Error::system("list", "the directory", errno);
    copy.release();
    std::vector<std::string> names;
    errno = 0;
    while (names.size() <= most) {
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return Error::system("list", "the directory", errno);
    std::sort(names.begin(), names.end());
    return names;
}

std::string asideNumber(const std::string& name, int number) {
    return name + kAside + std::to_string(number);
}

Result<std::string> asideName(int parent, const std::string& name) {
    constexpr int kMost = 1000;
    for (int i = 1; i < kMost; ++i) {
        std::string candidate = asideNumber(name, i);
        const auto type = typeOf(parent, candidate);
        if (!type) return type.error();
        if (*type == Type::Absent) return candidate;
    }
    return Error("keep", name, "every name for it is taken", "remove " + name + kAside + "*");
}

}  // namespace nodemirror::files
