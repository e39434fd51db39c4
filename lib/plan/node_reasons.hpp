#pragma once

#include "plan/image_plan.hpp"
#include "plan/reason.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// What is to be told of CRI; nothing where it is ready. `unit` and `configFile` are containerd's.
std::optional<Reason> reasonOfCri(const Seen<CriState>& cri, const std::string& unit,
                                  const std::string& configFile);

/// What is to be told of the images that are not there; `errors` says why they could not be
/// brought, by name, where that is known. A name that could not be looked up gives nothing.
std::vector<Reason> reasonsOfImages(const std::vector<RequiredImage>& required,
                                    const ObservedNode& node,
                                    const std::map<std::string, std::string>& errors);

/// Follows which sandbox images are missing, for kubelet does not try a sandbox again for a while
/// after it failed for want of one. An alias that is missing keeps no pod from starting.
class PauseAbsence {
  public:
    /// Gives the name that was the last to come back; empty where none did, or others are missing
    /// still. Names that are no longer required are no longer waited for.
    std::string follow(const std::vector<RequiredImage>& required, const ObservedNode& node);
    bool any() const { return !missing_.empty(); }

  private:
    std::set<std::string> missing_;  ///< seen missing and not yet back
    std::string back_;               ///< the last to come back while others were missing
};

}  // namespace nodemirror
