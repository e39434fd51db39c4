#pragma once

#include "base/result.hpp"
#include "base/time.hpp"
#include "containerd_config/config_reader.hpp"
#include "containerd_config/version.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// What CRI itself says of its configuration (Status with verbose; only 1.6 and 1.7 do).
struct LiveCriConfig {
    std::string configPath;
    std::string sandboxImage;
};

struct CriState {
    bool ready = false;
    std::string error;  ///< containerd's own words where CRI is not ready
    /// CRI will not become ready by waiting: its plugin failed to load, or is disabled.
    bool refused = false;
    Seen<LiveCriConfig> live;
};

/// An image name in containerd's namespace k8s.io.
struct ObservedImage {
    std::string name;
    bool resolves = false;   ///< CRI ImageStatus knows the name
    std::string id;          ///< CRI's image id
    bool hasRecord = false;  ///< there is an image record of that name
    bool pinLabel = false;   ///< io.cri-containerd.pinned=pinned
    std::string digest;      ///< of the record's target
};

struct ObservedUnit {
    bool exists = true;
    std::string activeState;   ///< active, inactive, failed, activating, …
    bool startsAgain = false;  ///< a start failed, and the next is waited for (auto-restart)
    int startedAgain = 0;      ///< how often since it was last started by somebody (NRestarts)
    int mainPid = 0;           ///< of a service that runs
    SteadyTime started;        ///< when that process was started; the epoch where it is not known
    WallTime startedWall;      ///< the same by the wall clock as it was then

    /// When the process was started, where it is this unit's main one.
    std::optional<Now> startOf(int pid) const {
        if (pid <= 0 || pid != mainPid || started == SteadyTime() || startedWall == WallTime())
            return std::nullopt;
        return Now{started, startedWall};
    }
};

/// A process of the node.
struct ObservedProcess {
    int pid = 0;
    std::string command;  ///< its arguments, joined by spaces; may hold secrets
};

/// The node beside its certs.d. Every part is known, absent or unknown.
struct ObservedNode {
    Seen<ContainerdVersion> version;
    std::string versionText;
    Seen<CriState> cri;
    Seen<ContainerdConfig> config;
    /// Whether the running containerd has its configuration as it is now, as far as certs.d goes:
    /// it was started after that last changed, or was seen to read certs.d since. Unknown where its
    /// process cannot be looked at.
    Seen<bool> runsConfig;
    std::map<std::string, Seen<ObservedImage>> images;  ///< by normalised name
    std::map<std::string, Seen<ObservedUnit>> units;
};

}  // namespace nodemirror
