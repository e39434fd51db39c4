#pragma once

#include "base/result.hpp"

#include <sys/stat.h>

#include <string>

namespace nodemirror {

/// Whether a file or directory may be written by others than its owner, and than the group root:
/// the bits of a group are those of an access list where there is one (acl(5)). `path` is what
/// `status` was taken of, and may be that of a descriptor below /proc/self/fd.
bool mayOthersWrite(const std::string& path, const struct stat& status);

/// When root reads: refuses a path on which another user could put another file of root's in the
/// place of the one that is meant, through a directory or a link that is theirs, or that they may
/// write. In a directory with the sticky bit what is root's stays (unlink(2)), and behind one that
/// others cannot enter everything does (but for what is mounted elsewhere too). What is not there
/// is refused by whoever opens it, but where others could put it there meanwhile. The error passes:
/// nothing tells of a change above. A link that another user made is never root's word, wherever it
/// is. `otherwise`: what would mend it beside taking the way back.
Result<void> refuseOthersOnTheWay(
    const std::string& path, const std::string& otherwise = "move the file below /etc/nodemirrord");

}  // namespace nodemirror
