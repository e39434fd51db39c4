#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

namespace nodemirror::files {

/// Temporary names begin with this; whatever has it in a directory of ours is a leftover.
inline constexpr std::string_view kTemporaryPrefix = ".nodemirrord-";

/// A temporary name that no other writer uses.
std::string temporaryName();

/// Owner and mode of a file to be written.
struct Access {
    mode_t mode = 0644;  ///< its permissions: the set-id bits and the sticky bit are left out
    uid_t uid = static_cast<uid_t>(-1);  ///< -1: whoever writes
    gid_t gid = static_cast<gid_t>(-1);
};

/// Whether what is written is waited for, or will be later.
enum class Durable { Now, Later };

/// What becomes of a file that has the name already. Keep: the write fails (EEXIST).
enum class Existing { Replace, Keep };

/// Writes a complete file under `name`, a new one, and syncs it; it is not yet visible under its
/// final name. The directory is not synced.
Result<void> writeNew(int directory, const std::string& name, std::string_view content,
                      const Access& access, Durable durable = Durable::Now);

/// Replaces `name` in the directory by a complete file: temporary file, fsync, rename, fsync of the
/// directory (rename(2), fsync(2)). A reader sees the old content or the new, never anything else.
Result<void> writeAtomically(int directory, const std::string& name, std::string_view content,
                             const Access& access, Existing existing = Existing::Replace);

/// The same by path; the directory must exist.
Result<void> writeAtomically(const std::string& path, std::string_view content,
                             const Access& access, Existing existing = Existing::Replace);

/// What a file must hold to be replaced; `most`: no more of it is read, in bytes.
struct Expected {
    std::function<bool(std::string_view)> is;
    size_t most = 0;
};

/// Replaces a file as above, if it still holds what is expected: what somebody else has written in
/// the meantime stays, and is an error. Where it cannot stay it is kept beside, as the error says.
Result<void> exchangeAtomically(int directory, const std::string& name, const Expected& expected,
                                std::string_view content, const Access& access);

/// The same by path and whole text.
Result<void> exchangeAtomically(const std::string& path, std::string_view expected,
                                std::string_view content, const Access& access);

/// Opens a directory for use with the functions above. Follows symbolic links.
Result<UniqueFd> openDirectory(const std::string& path);

Result<void> syncDirectory(int directory);

/// Sets the mode of what is open, where it is another; `name` is for the error.
Result<void> setMode(int fd, const std::string& name, mode_t mode);

/// Removes the temporary files that a crash left in a directory. Nobody may be writing in it.
void removeLeftovers(const std::string& path);

}  // namespace nodemirror::files
