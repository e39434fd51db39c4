#include "files/placement.hpp"

#include "files/directory_swap.hpp"
#include "files/entries.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace nodemirror::files {

namespace {

/// hosts.toml is a directory: exchanged for a file in one step.
Result<std::string> replaceInnerDirectory(int parent, const std::string& directory,
                                          std::string_view content, const Access& access) {
    const std::string temporary = temporaryName();
    if (const auto written = writeNew(parent, temporary, content, access); !written)
        return written.error();
    if (exchange(parent, temporary, kHosts) != 0) {
        const int code = errno;
        ::unlinkat(parent, temporary.c_str(), 0);
        return Error::system("put in place", directory + "/" + kHosts, code);
    }
    const auto aside = setAside(parent, temporary, kHosts);
    if (!aside) return aside;
    if (const auto synced = syncDirectory(parent); !synced) return synced.error();
    return aside->empty() ? std::string() : directory + "/" + *aside;
}

/// Writes hosts.toml so that the foreign file that is there is found under `keepAs` in the same
/// instant. A crash in between leaves a file of ours under that name, which is written again.
Result<void> writeBeside(int parent, std::string_view content, const Access& access,
                         const std::string& keepAs) {
    ::unlinkat(parent, keepAs.c_str(), 0);
    if (const auto written = writeNew(parent, keepAs, content, access); !written) return written;
    if (exchange(parent, keepAs, kHosts) != 0) {
        const int code = errno;
        ::unlinkat(parent, keepAs.c_str(), 0);
        return Error::system("put in place", kHosts, code);
    }
    return syncDirectory(parent);
}

/// Whether the file that was there before is still to be moved to `keepAs`.
bool isToBeKept(int parent, const std::string& keepAs) {
    struct stat hosts {};
    struct stat kept {};
    if (keepAs.empty() || ::fstatat(parent, kHosts, &hosts, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (!S_ISREG(hosts.st_mode) || !isForeign(hosts.st_uid, hosts.st_gid)) return false;
    return ::fstatat(parent, keepAs.c_str(), &kept, AT_SYMLINK_NOFOLLOW) != 0 ||
           (S_ISREG(kept.st_mode) && !isForeign(kept.st_uid, kept.st_gid));
}

/// Gives what was set aside its name again, in one step.
Result<void> putBack(int parent, const BackedUpEntry& entry, const std::string& name) {
    const std::string from = entry.stored.substr(entry.stored.rfind('/') + 1);
    if (renameNoReplace(parent, from, name) != 0) {
        if (exchange(parent, from, name) != 0) return Error::system("put back", entry.path, errno);
        discard(parent, from);
    }
    return syncDirectory(parent);
}

Result<void> putFile(int parent, const std::string& name, const BackedUpEntry& entry,
                     std::string_view content) {
    Access access;
    access.mode = entry.mode;
    access.uid = entry.uid;
    access.gid = entry.gid;
    auto written = writeAtomically(parent, name, content, access);
    if (written || !isForeign(entry.uid, entry.gid)) return written;
    // Without CAP_CHOWN it cannot be given to whom it belonged: its content comes back.
    access.uid = static_cast<uid_t>(-1);
    access.gid = static_cast<gid_t>(-1);
    return writeAtomically(parent, name, content, access);
}

Result<void> putLink(int parent, const std::string& name, const BackedUpEntry& entry) {
    const std::string temporary = temporaryName();
    if (::symlinkat(entry.stored.c_str(), parent, temporary.c_str()) != 0)
        return Error::system("put back", entry.path, errno);
    if (::renameat(parent, temporary.c_str(), parent, name.c_str()) != 0) {
        const int code = errno;
        ::unlinkat(parent, temporary.c_str(), 0);
        return Error::system("put back", entry.path, code);
    }
    return syncDirectory(parent);
}

}  // namespace

Error within(const std::string& directory, const Error& error) {
    return {error.context(), directory + "/" + error.object(), error.reason(), error.remedy()};
}

Result<std::string> placeHosts(int parent, const std::string& directory, std::string_view content,
                               mode_t mode, const std::string& keepAs) {
    Access access;
    access.mode = mode;
    const auto written = isToBeKept(parent, keepAs)
                             ? writeBeside(parent, content, access, keepAs)
                             : writeAtomically(parent, kHosts, content, access);
    if (written) return std::string();
    struct stat status {};
    const bool inTheWay =
        ::fstatat(parent, kHosts, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    if (!inTheWay) return within(directory, written.error());
    return replaceInnerDirectory(parent, directory, content, access);
}

Result<void> putEntry(int parent, const std::string& name, const BackedUpEntry& entry,
                      std::string_view content) {
    switch (entry.type) {
        case BackedUpEntry::Type::File: return putFile(parent, name, entry, content);
        case BackedUpEntry::Type::Aside: return putBack(parent, entry, name);
        default: return putLink(parent, name, entry);
    }
}

}  // namespace nodemirror::files
