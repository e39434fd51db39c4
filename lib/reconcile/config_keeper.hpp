#pragma once

#include "plan/config_plan.hpp"
#include "plan/edit_resumption.hpp"
#include "ports/containerd.hpp"
#include "reconcile/loaded_config.hpp"
#include "reconcile/restarter.hpp"
#include "state/state_dir.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Carries out edits of containerd's configuration: the old files are kept first, containerd is
/// restarted, and CRI must answer; if it does not load, the old files come back and containerd is
/// restarted again. A crash in between is taken up where it was.
class ConfigKeeper {
  public:
    /// `readConfig` reads the configuration as it is now: a containerd that runs is not restarted
    /// into one that cannot be read. `criStart`: how long a start of CRI is waited for at a time.
    ConfigKeeper(boost::asio::io_context& io, Containerd& containerd, Restarter& restarter,
                 StateDir state, LoadedConfig& loaded,
                 std::function<Result<ContainerdConfig>()> readConfig,
                 std::chrono::milliseconds criStart = std::chrono::seconds(60))
        : io_(io),
          containerd_(containerd),
          restarter_(restarter),
          state_(std::move(state)),
          loaded_(loaded),
          readConfig_(std::move(readConfig)),
          criStart_(criStart) {}
    void start() { readRecord(); }

    /// The edit that was taken back, for planConfig.
    const ConfigEditRecord& record() const { return record_; }
    /// Whether it is for a rollback that there is no such file.
    bool tookAway(const std::string& path) const;

    /// The edit that was taken back was so for what is not its fault: without it, things are no
    /// better. It may be made again.
    void absolve();
    /// Called before an edit is written, once nothing stands against it.
    void onEdit(std::function<void()> handler) { onEdit_ = std::move(handler); }

    /// Makes the edits and proves them. True when containerd was restarted.
    Task<bool> apply(ConfigPlan plan, Service service, std::vector<Reason>* reasons);

    /// Takes up an edit that a crash interrupted, or with which containerd does not start. True
    /// when containerd was restarted. `settled`: nobody is changing the configuration just now.
    Task<bool> resume(Service service, ContainerdRuns runs, std::vector<Reason>* reasons,
                      bool settled = true);
    /// How many times files were written from here.
    size_t writes() const { return writes_; }

    /// Waits until CRI is ready or has refused to load, or for a minute.
    Task<Result<CriState>> waitForCri();

  private:
    void readRecord();
    Result<void> keepAndWrite(const ConfigPlan& plan);
    void removeLeftovers() const;
    /// Puts back what is as it was edited; true where anything was.
    Result<bool> putBack();
    /// How many files of the edit are as it was edited; an error where that cannot be told.
    Result<size_t> countWritten() const;
    bool standsWhole(const Service& service, bool settled, std::vector<Reason>* reasons);
    Task<bool> judge(Service service, ContainerdRuns runs, std::vector<Reason>* reasons);
    std::optional<Reason> refusal(const std::string& why, const Service& service);
    void forgetWhatIsBack();
    void tellContest(std::vector<Reason>* reasons);
    bool isOutlived(const Service& service) const;
    bool isOfAnotherUnit(const Service& service, const std::string& why,
                         std::vector<Reason>* reasons) const;
    Task<Restarter::Outcome> restartContainerd(Service service, std::string why,
                                               std::vector<Reason>* reasons);
    Task<bool> restartAlone(Service service, std::string why, std::vector<Reason>* reasons);
    Task<bool> prove(Service service, std::string reason, std::vector<Reason>* reasons);
    Task<bool> proveOfBefore(Service service, std::vector<Reason>* reasons);
    Task<bool> restartOwed(Service service, std::vector<Reason>* reasons);
    Task<void> takeBack(Service service, std::string error, std::vector<Reason>* reasons);
    void tellNotPutBack(const Error& error, std::vector<Reason>* reasons) const;
    void save();

    boost::asio::io_context& io_;
    Containerd& containerd_;
    Restarter& restarter_;
    StateDir state_;
    LoadedConfig& loaded_;
    std::function<Result<ContainerdConfig>()> readConfig_;
    std::function<void()> onEdit_;
    size_t writes_ = 0;
    std::chrono::milliseconds criStart_;
    ConfigEditRecord record_;
    /// A containerd that lived through the restart of a unit.
    struct Outlived {
        std::string unit;
        int process = 0;
    };
    Outlived outlived_;
    /// When edits of the last day had been proven, and of what file the last one was.
    std::deque<SteadyTime> proven_;
    std::string lastEdited_;
    std::optional<Error> unreadable_;  ///< why the record of an edit could not be read
};

}  // namespace nodemirror
