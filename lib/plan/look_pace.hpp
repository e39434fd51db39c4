#pragma once

#include "base/time.hpp"

namespace nodemirror {

/// How often what others may change at any time is looked at: five times in ten seconds, so that
/// they cannot keep the daemon from its work.
class LookPace {
  public:
    /// Whether it may be looked at now. Where it may not, due() tells when.
    bool mayLook(SteadyTime now);
    void looked(SteadyTime now);
    /// When a look that was put off is due; the epoch where none was.
    SteadyTime due() const { return due_; }

  private:
    SteadyTime from_;
    int looks_ = 0;  ///< since then
    SteadyTime due_;
};

}  // namespace nodemirror
