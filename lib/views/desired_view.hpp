#pragma once

#include "base/error.hpp"
#include "base/time.hpp"
#include "desired/desired.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// The desired-state file as it was last read.
struct DesiredView {
    std::string path;
    std::string sha256;
    std::optional<WallTime> loadedAt;  ///< when the state that is in force was loaded
    bool valid = false;
    std::vector<Problem> problems;
    std::string remedy;  ///< of a file that could not be read, where more is known than its name
    std::optional<Error> notKept;  ///< why the copy for the next start could not be written
    bool lastGood = false;         ///< the state in force comes from the state directory
    bool inForce = false;          ///< there is a state in force at all
};

struct ReconcileView {
    size_t count = 0;
    size_t heals = 0;
    std::optional<WallTime> lastAt;
    int64_t lastDurationMs = 0;
    std::string lastError;
};

}  // namespace nodemirror
