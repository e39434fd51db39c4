#pragma once

#include "base/result.hpp"
#include "desired/parse.hpp"

#include <string>

namespace nodemirror {

/// Reads a whole regular file of at most `most` bytes. Never blocks on a FIFO or a device.
Result<std::string> readWholeFile(const std::string& path, size_t most);

/// The FileReader of a running system, for files that a desired state names (at most 1 MiB each).
Result<std::string> readReferencedFile(const std::string& path);

}  // namespace nodemirror
