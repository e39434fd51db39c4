#pragma once

#include "base/result.hpp"
#include "observed/node.hpp"
#include "ports/task.hpp"

#include <string>

namespace nodemirror {

struct RestartAnswer {
    bool asked = false;  ///< systemd took the job; otherwise nothing happened
    std::string result;  ///< the job's result ("done", "failed", …), or why it was not taken
};

/// What the daemon asks of systemd.
class Units {
  public:
    virtual ~Units() = default;

    virtual Task<Result<ObservedUnit>> state(std::string unit) = 0;
    /// RestartUnit, then waits for the job's end.
    virtual Task<RestartAnswer> restart(std::string unit) = 0;
};

}  // namespace nodemirror
