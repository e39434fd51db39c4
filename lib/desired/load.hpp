#pragma once

#include "base/result.hpp"
#include "desired/parse.hpp"

#include <string>

namespace nodemirror {

/// Whose word a file may be. RootOnly: when root reads, a file that another user owns or may write
/// is refused. Of its directories nothing is asked: whoever swaps the file for another must own
/// that one.
enum class Writers { Anyone, RootOnly };

/// Reads a whole regular file of at most `most` bytes. Never blocks on a FIFO or a device.
Result<std::string> readWholeFile(const std::string& path, size_t most,
                                  Writers writers = Writers::Anyone);

/// The FileReader of a running system, for files that a desired state names (at most 1 MiB each).
/// Those that others may write are refused, and those in home directories, which the service does
/// not see (ProtectHome=).
Result<std::string> readReferencedFile(const std::string& path);

}  // namespace nodemirror
