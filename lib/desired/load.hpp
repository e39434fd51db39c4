#pragma once

#include "base/result.hpp"

#include <string>

namespace nodemirror {

/// The FileReader of a running system, for files that a desired state names (at most 1 MiB each).
/// Those that others may write are refused, and those in home directories, which the service does
/// not see (ProtectHome=).
Result<std::string> readReferencedFile(const std::string& path);

}  // namespace nodemirror
