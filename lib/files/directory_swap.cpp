#include "files/directory_swap.hpp"

#include "files/entries.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace nodemirror::files {

namespace {

using Type = ObservedEntry::Type;

/// Of directories of ours that hold what another one has: they are renamed, never exchanged, so
/// that what is in one is nobody's alone.
constexpr std::string_view kCarryingPrefix = ".nodemirrord-carrying-";

bool isCarrying(const std::string& name) { return name.rfind(kCarryingPrefix, 0) == 0; }

/// A registry's directory has a few certificates beside hosts.toml. Of another user's it is not
/// known what else is in it, and copies are root's: they count against nobody's quota.
Result<void> checkCarried(int from, const std::vector<std::string>& names) {
    constexpr size_t kMost = 64;
    constexpr off_t kLargest = 16 << 20;
    size_t count = 0;
    off_t total = 0;
    const Error tooMuch("copy", "what is beside hosts.toml",
                        "it is more than 64 files or 16 MiB, and another user's",
                        "move it away, or give the directory to root");
    if (names.size() > kMostNames) return tooMuch;
    for (const auto& name : names) {
        if (name == kHosts || isTemporary(name)) continue;
        struct stat status {};
        if (::fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            return Error::system("copy", name, errno);
        if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
            return Error("copy", name, "it is neither a file nor a link");
        // Before the first copy is made, which would be in vain.
        if (S_ISREG(status.st_mode) && status.st_uid != ::geteuid() &&
            ::faccessat(from, name.c_str(), R_OK, 0) != 0)
            return Error::system("copy", name, errno);
        total += status.st_size;
        if (total > kLargest || ++count > kMost) return tooMuch;
    }
    return {};
}

/// Gives `to` what else is in `from`: hard links of what is this user's, copies of what can be
/// read.
Result<void> carryOver(int from, int to) {
    const auto names = namesIn(from);
    if (!names) return names.error();
    if (const auto sound = checkCarried(from, *names); !sound) return sound;
    for (const auto& name : *names) {
        if (name == kHosts || isTemporary(name)) continue;
        if (::linkat(from, name.c_str(), to, name.c_str(), 0) == 0) continue;
        const auto entry = observeEntry(from, name);
        if (!entry) return entry.error();
        if (entry->type == Type::Symlink) {
            if (::symlinkat(entry->target.c_str(), to, name.c_str()) != 0)
                return Error::system("copy", name, errno);
            continue;
        }
        if (entry->type != Type::File || entry->unreadable || entry->tooLarge)
            return Error("copy", name, "it cannot be read, or is no file");
        Access access;
        access.mode = entry->mode;
        if (const auto copied = writeNew(to, name, entry->content, access); !copied) return copied;
    }
    return {};
}

/// Whether two directories have the same file, or the same in it, under a name.
Result<bool> isSame(int one, int other, const std::string& name) {
    const auto first = observeEntry(one, name);
    if (!first) return first.error();
    const auto second = observeEntry(other, name);
    if (!second) return second.error();
    if (first->type != second->type) return false;
    if (first->type == Type::Symlink) return first->target == second->target;
    if (first->type != Type::File) return false;
    const auto a = stampOf(one, name);
    const auto b = stampOf(other, name);
    if (a && b && a->device == b->device && a->inode == b->inode) return true;
    const bool read = !first->unreadable && !first->tooLarge && !second->unreadable;
    return read && first->sha256 == second->sha256;
}

/// A directory of this daemon's own making, with all that it put into it.
void discardMade(int root, const std::string& made) {
    if (const auto directory = openBelow(root, made))
        if (const auto names = namesIn(directory->get()))
            for (const auto& name : *names) ::unlinkat(directory->get(), name.c_str(), 0);
    ::unlinkat(root, made.c_str(), AT_REMOVEDIR);
}

}  // namespace

void discard(int parent, const std::string& name) {
    if (isCarrying(name)) return discardMade(parent, name);
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno != EISDIR) return;
    if (const auto directory = openBelow(parent, name))
        if (const auto names = namesIn(directory->get()))
            for (const auto& inner : *names)
                if (inner == kHosts || isTemporary(inner))
                    ::unlinkat(directory->get(), inner.c_str(), 0);
    ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

Result<void> discardCarried(int root, const std::string& made, const std::string& original) {
    const auto ours = openBelow(root, made);
    if (!ours) return ours.error();
    const auto type = typeOf(root, original);
    if (!type) return type.error();
    UniqueFd theirs;
    if (*type == Type::Directory) {
        auto opened = openBelow(root, original);
        if (!opened) return opened.error();
        theirs = std::move(*opened);
    }
    auto names = namesIn(ours->get());
    if (!names) return names.error();
    // hosts.toml last, for by it a directory of ours is known.
    std::stable_partition(names->begin(), names->end(),
                          [](const std::string& name) { return name != kHosts; });
    for (const auto& name : *names) {
        const bool own = name == kHosts || isTemporary(name);
        const auto same =
            own || !theirs ? Result<bool>(own) : isSame(ours->get(), theirs.get(), name);
        if (!same) return same.error();
        if (*same && ::unlinkat(ours->get(), name.c_str(), 0) != 0)
            return Error::system("remove", made + "/" + name, errno);
    }
    // What somebody else put into it stays, and the directory with it.
    if (::unlinkat(root, made.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY)
        return Error::system("remove", made, errno);
    return {};
}

Result<std::string> setAside(int parent, const std::string& taken, const std::string& name) {
    struct stat status {};
    if (::fstatat(parent, taken.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return std::string();
        return Error::system("set aside", name, errno);
    }
    const bool directory = S_ISDIR(status.st_mode);
    if (::unlinkat(parent, taken.c_str(), directory ? AT_REMOVEDIR : 0) == 0) return std::string();
    auto aside = asideName(parent, name);
    if (!aside) return aside;
    if (::renameat(parent, taken.c_str(), parent, aside->c_str()) != 0)
        return Error::system("set aside", name, errno);
    return aside;
}

Result<std::string> makeDirectory(int root, std::string_view content, mode_t mode, Durable durable,
                                  int earlier) {
    const std::string temporary = earlier < 0 ? temporaryName()
                                              : std::string(kCarryingPrefix) +
                                                    temporaryName().substr(kTemporaryPrefix.size());
    if (::mkdirat(root, temporary.c_str(), 0755) != 0)
        return Error::system("create a directory in", "certs.d", errno);
    const auto fill = [&]() -> Result<void> {
        const auto directory = openBelow(root, temporary);
        if (!directory) return directory.error();
        Access access;
        access.mode = mode;
        if (const auto written = writeNew(directory->get(), kHosts, content, access, durable);
            !written)
            return written;
        if (earlier >= 0)
            if (const auto carried = carryOver(earlier, directory->get()); !carried) return carried;
        if (const auto set = setMode(directory->get(), "the directory", 0755); !set) return set;
        return durable == Durable::Now ? syncDirectory(directory->get()) : Result<void>();
    };
    if (const auto filled = fill(); !filled) {
        discardMade(root, temporary);
        return filled.error();
    }
    return temporary;
}

Result<void> syncMade(int root, const std::string& temporary) {
    const auto directory = openBelow(root, temporary);
    if (!directory) return directory.error();
    const UniqueFd hosts(::openat(directory->get(), kHosts, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!hosts || ::fsync(hosts.get()) != 0) return Error::system("sync", kHosts, errno);
    return syncDirectory(directory->get());
}

Result<std::string> placeDirectory(int root, const std::string& directory, std::string_view content,
                                   mode_t mode) {
    const auto temporary = makeDirectory(root, content, mode);
    if (!temporary) return temporary.error();
    std::string aside;
    if (renameNoReplace(root, *temporary, directory) != 0) {
        if (exchange(root, *temporary, directory) != 0) {
            const int code = errno;
            discard(root, *temporary);
            return notExchanged("put in place", directory, code);
        }
        auto kept = setAside(root, *temporary, directory);
        if (!kept) return kept.error();
        aside = std::move(*kept);
    }
    if (const auto synced = syncDirectory(root); !synced) return synced.error();
    return aside;
}

namespace {

/// The new directory takes the name under which the other one is kept, then the two change places:
/// at no moment is somebody's directory under a name that is cleared away.
Result<std::string> exchangeAside(int root, const std::string& temporary,
                                  const std::string& directory, const std::string& aside) {
    if (renameNoReplace(root, temporary, aside) != 0) {
        const int code = errno;
        discardMade(root, temporary);
        return Error::system("put in place", directory, code);
    }
    if (exchange(root, aside, directory) != 0) {
        const int code = errno;
        discardMade(root, aside);
        return notExchanged("put in place", directory, code);
    }
    if (const auto synced = syncDirectory(root); !synced) return synced.error();
    return aside;
}

}  // namespace

Result<std::string> replaceForeign(int root, int parent, const std::string& directory,
                                   std::string_view content, mode_t mode,
                                   const std::string& keepAs) {
    struct stat status {};
    if (::fstat(parent, &status) != 0) return Error::system("look at", directory, errno);
    const std::string owner = "it belongs to uid " + std::to_string(status.st_uid);
    const std::string remedy = "chown root:root " + directory;
    const auto last = typeOf(root, asideNumber(directory, kMostAside));
    if (!last) return last.error();
    if (*last != Type::Absent)
        return Error("write", directory, owner + ", again and again",
                     remedy + ", and remove " + directory + ".aside-*");
    const auto kept = typeOf(root, keepAs);
    if (!kept) return kept.error();
    const auto aside = !keepAs.empty() && *kept == Type::Absent ? Result<std::string>(keepAs)
                                                                : asideName(root, directory);
    if (!aside) return aside.error();
    const auto temporary = makeDirectory(root, content, mode, Durable::Now, parent);
    auto placed = temporary ? exchangeAside(root, *temporary, directory, *aside) : temporary;
    if (placed) return placed;
    return Error("write", directory,
                 owner + " and cannot be replaced: " + placed.error().object() + ": " +
                     placed.error().reason(),
                 remedy);
}

}  // namespace nodemirror::files
