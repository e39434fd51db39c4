#pragma once

#include "hosts_toml/reader.hpp"
#include "plan/config_settling.hpp"
#include "plan/node_reasons.hpp"
#include "reconcile/config_keeper.hpp"
#include "reconcile/image_keeper.hpp"
#include "reconcile/loaded_config.hpp"
#include "reconcile/registry_keeper.hpp"
#include "reconcile/restarter.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Keeps containerd's configuration, the pause image, other images and the services as desired: a
/// pass observes, plans and applies, and is made whenever something may have changed.
class NodeKeeper {
  public:
    struct Paths {
        std::string containerdConfig;
        std::string containerdSocket;
        std::string certsDir;
    };

    /// `configQuiet`: how long containerd's configuration must have been left alone.
    NodeKeeper(boost::asio::io_context& io, Containerd& containerd, Units& units, StateDir state,
               Paths paths, std::chrono::milliseconds configQuiet = ConfigSettling::kQuiet);
    void start();

    void setDesired(std::shared_ptr<const Desired> desired);
    /// Called after every pass.
    void onPass(std::function<void()> handler) { onPass_ = std::move(handler); }
    /// Called when containerd's version becomes known or changes.
    void onVersion(std::function<void(ContainerdVersion)> handler) {
        onVersion_ = std::move(handler);
    }

    /// Called before an edit that may take legacy tables out of containerd's configuration, with
    /// the registries as those tables have them.
    void onReplaced(std::function<void(const std::vector<Registry>&)> handler) {
        onReplaced_ = std::move(handler);
    }

    /// Makes passes until stopped.
    Task<void> run();
    /// Something may have changed: a pass soon, together with whatever else comes meanwhile.
    void trigger();
    void stop();
    /// One pass, and further ones while pulls are under way and `until` is not reached.
    Task<void> settle(SteadyTime until);
    /// Observes and plans without carrying it out; view() tells what it found wrong. A containerd
    /// of another version than before is told of as after any look.
    Task<std::vector<PlannedChange>> preview();

    /// The files that containerd's configuration was read from, to be watched.
    std::vector<std::string> configFiles() const;
    const NodeView& view() const { return view_; }
    size_t heals() const { return images_.ensured(); }
    void retryImages() { images_.forgetFailures(); }

  private:
    Task<void> pass();
    Task<void> observe();
    bool noteVersion(const std::string& text);
    void observeConfig();
    Task<void> observeImages();
    ContainerdRuns runs();
    bool editSetsConfigPath() const;
    Task<void> keepConfig();
    bool waitsForQuiet();
    void absolveEdit();
    void wantKubeletRestarted(std::string why);
    Task<void> keepKubelet();
    ConfigSurroundings surroundings() const;
    void lookElsewhere(const std::string& configPath, ConfigSurroundings& around) const;
    std::optional<ChainReading> readBelow(const std::string& registry) const;
    void judgeImages();
    void fillView();
    void judgeContainerd(std::vector<Reason>* reasons) const;
    SteadyTime due(SteadyTime now) const;
    Result<ContainerdConfig> readConfig() const;
    LoadedConfig::Process process();

    boost::asio::io_context& io_;
    Containerd& containerd_;
    Restarter restarter_;
    LoadedConfig loaded_;
    ConfigKeeper config_;
    ImageKeeper images_;
    StateDir state_;
    Paths paths_;
    std::shared_ptr<const Desired> desired_;
    std::function<void()> onPass_;
    std::function<void(ContainerdVersion)> onVersion_;
    std::function<void(const std::vector<Registry>&)> onReplaced_;
    ObservedNode observed_;
    std::vector<Reason> reasons_;
    NodeView view_;
    PauseAbsence pauseAbsence_;
    std::string kubeletReason_;               ///< why kubelet is to be restarted; empty: it is not
    SteadyTime kubeletSince_;                 ///< since when it is
    std::vector<std::string> importedFiles_;  ///< of the configuration as it last could be read
    ConfigSettling settling_;
    size_t ownWrites_ = 0;        ///< of the configuration, at the last look
    bool configSeen_ = false;     ///< containerd's configuration has been there
    bool configUnknown_ = false;  ///< whether it has cannot be read
    bool configNoted_ = false;    ///< and the state directory says so
    bool criWasRefused_ = false;  ///< when containerd was restarted from here
    bool unitsUnknown_ = false;   ///< systemd could not be asked
    int unreachableFor_ = 0;      ///< passes in a row
    boost::asio::steady_timer wake_;
    bool triggered_ = true;
    bool passing_ = false;
    bool passed_ = false;  ///< at least one pass has been made
    bool stopped_ = false;
};

}  // namespace nodemirror
