#pragma once

#include "base/result.hpp"
#include "base/time.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror::files {

/// Whether a daemon was started after all of these files were last changed; unknown where one of
/// them cannot be looked at, or where the wall clock was set so that times and ages contradict each
/// other. `started` is when its process was started, by both clocks; where that is not known, the
/// age of the socket that it listens on counts, which containerd makes anew at every start
/// (sys.GetLocalListener), right after it has read its configuration.
Seen<bool> startedAfter(std::optional<Now> started, const std::string& socket,
                        const std::vector<std::string>& paths);

}  // namespace nodemirror::files
