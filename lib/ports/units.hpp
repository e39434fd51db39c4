#pragma once

#include <string>

#include "base/result.hpp"
#include "observed/node.hpp"
#include "ports/containerd.hpp"

namespace nodemirror {

/// What the daemon asks of systemd.
class Units {
  public:
    virtual ~Units() = default;

    virtual Task<Result<ObservedUnit>> state(std::string unit) = 0;
    /// RestartUnit, then waits for the job's end; gives the job's result ("done", "failed", …).
    virtual Task<Result<std::string>> restart(std::string unit) = 0;
};

}  // namespace nodemirror
