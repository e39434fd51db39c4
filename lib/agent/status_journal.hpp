#pragma once

#include "status/status.hpp"

#include <set>
#include <string>
#include <utility>

namespace nodemirror {

/// Tells the journal what changed between one status and the next: for whoever reads the morning
/// after what was amiss, and since when no more.
class StatusJournal {
  public:
    void tell(const Status& status);

  private:
    std::string phase_;
    std::set<std::pair<std::string, std::string>> told_;  ///< code and subject of reasons
};

}  // namespace nodemirror
