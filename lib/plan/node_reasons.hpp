#pragma once

#include "plan/image_plan.hpp"
#include "plan/reason.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// What is to be told of a containerd that does not answer, for which `unreachable` says why, or
/// whose version cannot be read; nothing where all is well. `unit` is containerd's.
std::optional<Reason> reasonOfContainerd(const ObservedNode& node, const std::string& unreachable,
                                         const std::string& unit);

/// What is to be told of CRI; nothing where it is ready. `unit` and `configFile` are containerd's.
std::optional<Reason> reasonOfCri(const Seen<CriState>& cri, const std::string& unit,
                                  const std::string& configFile);

/// What is to be told of the images that are not there; `errors` says why they could not be
/// brought, by name, where that is known. A name that could not be looked up gives nothing.
std::vector<Reason> reasonsOfImages(const std::vector<RequiredImage>& required,
                                    const ObservedNode& node,
                                    const std::map<std::string, std::string>& errors);

/// Follows which sandbox images are missing, for kubelet does not try a sandbox again for a while
/// after it failed for want of one. An alias that is missing keeps no pod from starting, and one
/// that was there, and is back within ten seconds at the first try (kubelet removes images when the
/// disk is nearly full), has hardly kept any.
class PauseAbsence {
  public:
    /// Gives the name that was the last to come back; empty where none did, or others are missing
    /// still. Names that are no longer required are no longer waited for. `errors`: why those that
    /// are missing could not be brought so far, by name.
    std::string follow(const std::vector<RequiredImage>& required, const ObservedNode& node,
                       const std::map<std::string, std::string>& errors, SteadyTime now);
    bool any() const { return !missing_.empty(); }

  private:
    struct Absence {
        SteadyTime since;
        bool felt = false;  ///< it was missing from the first look on, or could not be brought
    };
    std::set<std::string> seen_;              ///< have been there
    std::map<std::string, Absence> missing_;  ///< seen missing and not yet back
    std::string back_;                        ///< the last to come back while others were missing
};

}  // namespace nodemirror
