#pragma once

#include "base/read_file.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "observed/registry_files.hpp"

#include <sys/types.h>

#include <ctime>
#include <optional>
#include <string>
#include <vector>

/// Entries of an open directory, by name. No symbolic link among them is ever followed.
namespace nodemirror::files {

Result<UniqueFd> openBelow(int parent, const std::string& name);

/// Exchanges two entries in one step (renameat2(2), RENAME_EXCHANGE). 0, or -1 with errno.
int exchange(int parent, const std::string& one, const std::string& other);

/// The error of an exchange that failed with `code`.
Error notExchanged(const std::string& context, const std::string& name, int code);

/// The error of what is not to be replaced, or removed, as it is another by now. It passes.
Error changedMeanwhile(const std::string& context, const std::string& name);

/// Renames where nothing has the new name (RENAME_NOREPLACE; without it where the file system knows
/// no flags, as NFS and 9p do not). 0, or -1 with errno.
int renameNoReplace(int parent, const std::string& from, const std::string& to);

/// More than any registry's directory has. What others may write may have names without end.
constexpr size_t kMostNames = 4096;

/// The names but "." and "..", sorted; where there are more than `most`, so many and one.
Result<std::vector<std::string>> namesIn(int directory, size_t most = kMostNames);

/// A hosts.toml of any sense is far smaller.
constexpr off_t kLargestHosts = 4 << 20;

/// A file that is no link, of kLargestHosts at most. Its owner, mode and content are of one and the
/// same file, whatever others put under the name meanwhile.
Result<ObservedEntry> observeFile(int parent, const std::string& name, Unfinished unfinished);

/// What stands under a name, with its content where it is a file of any sense.
Result<ObservedEntry> observeEntry(int parent, const std::string& name);

/// What an entry is. An Error: it cannot be told, which is not the same as absent.
Result<ObservedEntry::Type> typeOf(int parent, const std::string& name);

/// What of an entry changes whenever it, or its content, changes (inode(7)).
struct Stamp {
    ino_t inode = 0;
    dev_t device = 0;
    mode_t mode = 0;
    uid_t uid = 0;
    off_t size = 0;
    timespec changed{};  ///< ctime: nobody can set it, but with the clock

    bool operator==(const Stamp& other) const;
};

/// Nothing where the entry is not there or cannot be looked at.
std::optional<Stamp> stampOf(int parent, const std::string& path);

/// Whether an entry changed so lately that a further change could bear the same time.
bool isFresh(const Stamp& stamp);

/// Whether a name is one of our temporary ones (files/atomic_write.hpp).
bool isTemporary(const std::string& name);

/// A name beside `name` that is free: NAME.aside-1 and so on. An Error: it cannot be told.
Result<std::string> asideName(int parent, const std::string& name);

/// The names that asideName tries, from 1.
std::string asideNumber(const std::string& name, int number);

/// Whether somebody may not do it, rather than nobody can.
bool isDenied(const Error& error);

/// Whether an entry belongs to another user or group than this process: it could not be given back
/// to them once it was written anew, for that takes CAP_CHOWN.
bool isForeign(uid_t uid, gid_t gid);
/// The same of a file or a symbolic link, which is somebody's word; false of anything else.
bool isForeign(const ObservedEntry& entry);

}  // namespace nodemirror::files
