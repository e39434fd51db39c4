#include "files/placement.hpp"

#include "base/digest.hpp"
#include "files/directory_swap.hpp"
#include "files/entries.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace nodemirror::files {

namespace {

/// Writes hosts.toml so that what is there is found under `keepAs` in the same instant. A crash in
/// between leaves a file of ours under that name (CertsTree::discardUnused).
Result<void> writeBeside(int parent, std::string_view content, const Access& access,
                         const std::string& keepAs) {
    if (const auto written = writeAtomically(parent, keepAs, content, access); !written)
        return written;
    if (exchange(parent, keepAs, kHosts) != 0) {
        const int code = errno;
        ::unlinkat(parent, keepAs.c_str(), 0);
        return notExchanged("put in place", kHosts, code);
    }
    return syncDirectory(parent);
}

/// Gives what was set aside its name again, in one step.
Result<void> putBack(int parent, const BackedUpEntry& entry, const std::string& name) {
    const std::string from = entry.stored.substr(entry.stored.rfind('/') + 1);
    if (renameNoReplace(parent, from, name) != 0) {
        if (exchange(parent, from, name) != 0) return notExchanged("put back", entry.path, errno);
        const auto type = typeOf(parent, from);
        if (!type) return type.error();
        if (*type == ObservedEntry::Type::Directory) {
            if (const auto gone = discardCarried(parent, from, name); !gone) return gone;
        } else if (::unlinkat(parent, from.c_str(), 0) != 0) {
            return Error::system("remove", from, errno);
        }
    }
    return syncDirectory(parent);
}

/// Gives what was made under a temporary name its own. A registry's directory that has it goes in
/// the same instant, but for what is in it beside hosts.toml: that is kept under another name.
Result<void> putInPlace(int parent, const std::string& temporary, const std::string& name,
                        const std::string& path) {
    if (::renameat(parent, temporary.c_str(), parent, name.c_str()) == 0)
        return syncDirectory(parent);
    int code = errno;
    const bool inTheWay = code == EISDIR && name != kHosts;
    if (!inTheWay || exchange(parent, temporary, name) != 0) {
        if (inTheWay) code = errno;
        ::unlinkat(parent, temporary.c_str(), 0);
        return notExchanged("put back", path, code);
    }
    discard(parent, temporary);
    if (const auto kept = setAside(parent, temporary, name); !kept) return kept.error();
    return syncDirectory(parent);
}

Result<void> putFile(int parent, const std::string& name, const BackedUpEntry& entry,
                     std::string_view content) {
    Access access;
    access.mode = entry.mode;
    access.uid = entry.uid;
    access.gid = entry.gid;
    const std::string temporary = temporaryName();
    auto written = writeNew(parent, temporary, content, access);
    if (!written && isForeign(entry.uid, entry.gid)) {
        // Without CAP_CHOWN it cannot be given to whom it belonged: its content comes back.
        access.uid = static_cast<uid_t>(-1);
        access.gid = static_cast<gid_t>(-1);
        written = writeNew(parent, temporary, content, access);
    }
    return written ? putInPlace(parent, temporary, name, entry.path) : written;
}

Result<void> putLink(int parent, const std::string& name, const BackedUpEntry& entry) {
    const std::string temporary = temporaryName();
    if (::symlinkat(entry.stored.c_str(), parent, temporary.c_str()) != 0)
        return Error::system("put back", entry.path, errno);
    return putInPlace(parent, temporary, name, entry.path);
}

/// Puts hosts.toml in the place of nothing, of a link, or of the very text that a copy is kept of.
Result<void> writeFirst(int parent, std::string_view content, const Access& access,
                        const std::string& sha256) {
    const auto type = typeOf(parent, kHosts);
    if (!type) return type.error();
    if (*type == ObservedEntry::Type::Absent) {
        const auto written = writeAtomically(parent, kHosts, content, access, Existing::Keep);
        if (written || written.error().code() != EEXIST) return written;
        return changedMeanwhile("write", kHosts);
    }
    if (*type != ObservedEntry::Type::File) return writeAtomically(parent, kHosts, content, access);
    if (sha256.empty()) return changedMeanwhile("write", kHosts);
    const Expected kept{[&sha256](std::string_view text) { return sha256Hex(text) == sha256; },
                        static_cast<size_t>(kLargestHosts)};
    return exchangeAtomically(parent, kHosts, kept, content, access);
}

}  // namespace

Error within(const std::string& directory, const Error& error) {
    return error.of(directory + "/" + error.object());
}

Result<std::string> placeHosts(int parent, const std::string& directory, std::string_view content,
                               mode_t mode, const std::string& keepAs,
                               const std::optional<std::string>& first) {
    Access access;
    access.mode = mode;
    struct stat there {};
    const bool seen = ::fstatat(parent, kHosts, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (!seen && errno != ENOENT) return Error::system("look at", directory + "/" + kHosts, errno);
    const auto kept = typeOf(parent, keepAs);
    if (!kept) return within(directory, kept.error());
    const bool free = !keepAs.empty() && *kept == ObservedEntry::Type::Absent;
    // An empty directory that nobody asks to be kept simply goes.
    const bool inTheWay =
        seen && S_ISDIR(there.st_mode) && (free || ::unlinkat(parent, kHosts, AT_REMOVEDIR) != 0);
    const bool foreign = seen && (S_ISREG(there.st_mode) || S_ISLNK(there.st_mode)) &&
                         isForeign(there.st_uid, there.st_gid);
    if (!inTheWay && !(foreign && free)) {
        const auto written = first ? writeFirst(parent, content, access, *first)
                                   : writeAtomically(parent, kHosts, content, access);
        return written ? Result<std::string>(std::string()) : within(directory, written.error());
    }
    const auto name = free ? Result<std::string>(keepAs) : asideName(parent, kHosts);
    if (!name) return within(directory, name.error());
    if (const auto written = writeBeside(parent, content, access, *name); !written)
        return within(directory, written.error());
    return inTheWay ? directory + "/" + *name : std::string();
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
