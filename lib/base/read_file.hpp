#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <string>

namespace nodemirror {

/// Whose word a file may be. RootOnly: when root reads, a file that another user owns or may write
/// is refused. Of its directories nothing is asked: whoever swaps it for another has none but those
/// of root's to swap it for. RootOnTheWayToo: where that would be one too many, as a secret of
/// root's would (base/trusted_path).
enum class Writers { Anyone, RootOnly, RootOnTheWayToo };

/// What of a file that somebody has open for writing. Refuse: what is there may be the half of it,
/// and is an error that passes (EAGAIN). Where that cannot be told (a remote file system, a file of
/// another user) it is read.
enum class Unfinished { Read, Refuse };

/// Reads a whole regular file of at most `most` bytes. Never blocks on a FIFO or a device.
Result<std::string> readWholeFile(const std::string& path, size_t most,
                                  Writers writers = Writers::Anyone,
                                  Unfinished unfinished = Unfinished::Read);

/// The same of the very file that `place`, opened with O_PATH, is; `path` is for the error.
Result<std::string> readWholeFile(const UniqueFd& place, const std::string& path, size_t most,
                                  Unfinished unfinished = Unfinished::Read);

/// Reads the rest of an open file of at most `most` bytes; `name` is for the error.
Result<std::string> readRest(int fd, const std::string& name, size_t most,
                             Unfinished unfinished = Unfinished::Read);

/// Whether a file is there that just this process may not read.
bool isClosedToUs(const std::string& path);

}  // namespace nodemirror
