#pragma once

#include "base/result.hpp"
#include "observed/node.hpp"
#include "ports/task.hpp"

#include <string>

namespace nodemirror {

struct RestartAnswer {
    enum class End {
        NotAsked,  ///< systemd took no job: nothing happened
        Unclear,   ///< it may have taken one, whose end was not heard; or another took its place
        Failed,    ///< the unit did not start
        Done,
    };
    End end = End::NotAsked;
    std::string result;  ///< the job's ("done", "failed", "canceled", …), or why there is none
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
