#pragma once

#include "base/result.hpp"

#include <string>

namespace nodemirror {

/// When root reads: refuses an absolute path on which another user could put another file of root's
/// in the place of the one that is meant, through a directory or a link that is theirs, or that
/// they may write. In a directory with the sticky bit what is root's stays (unlink(2)), and behind
/// one that others cannot enter everything does. What cannot be looked at is refused by whoever
/// opens it.
Result<void> refuseOthersOnTheWay(const std::string& path);

}  // namespace nodemirror
