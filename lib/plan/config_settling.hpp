#pragma once

#include "base/time.hpp"
#include "containerd_config/config_reader.hpp"
#include "observed/node.hpp"
#include "plan/reason.hpp"

#include <optional>
#include <string>

namespace nodemirror {

/// Whether somebody is setting containerd's configuration up. A script writes it in several
/// commands (`containerd config default >`, `sed -i`, `systemctl restart`): an edit between two of
/// them would be lost, and a restart would be one too many.
class ConfigSettling {
  public:
    static constexpr std::chrono::milliseconds kQuiet{5000};

    explicit ConfigSettling(std::chrono::milliseconds quiet = kQuiet) : quiet_(quiet) {}

    /// The configuration as it is looked at now. What the first look finds has stood for longer.
    void look(const Seen<ContainerdConfig>& config, SteadyTime now);
    /// The next look finds what was written from here, which is no unrest.
    void expectOwn() { seen_.reset(); }
    /// Until when nothing is done on account of it: until it has been left alone for `quiet`, or
    /// has been changed for twelve times as long. Nothing where it may be acted on.
    std::optional<SteadyTime> heldUntil(SteadyTime now) const;

  private:
    std::chrono::milliseconds quiet_;
    std::optional<std::string> seen_;  ///< digest of its files; empty: it could not be read
    std::optional<SteadyTime> first_;  ///< change of the series
    SteadyTime last_;                  ///< and the last one
};

/// What is told while an edit or a restart waits. `until` is when it is looked at again.
Reason reasonOfSettling(const std::string& configFile, WallTime until);

}  // namespace nodemirror
