#pragma once

#include "base/result.hpp"

#include <string>
#include <vector>

namespace nodemirror::files {

/// Whether a process was started after all of these files were last changed; unknown where one of
/// them cannot be looked at. A process that was proven to have read them need not be asked about.
Seen<bool> startedAfter(int pid, const std::vector<std::string>& paths);

}  // namespace nodemirror::files
