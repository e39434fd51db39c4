#pragma once

#include "desired/desired.hpp"
#include "plan/reason.hpp"
#include "ports/units.hpp"
#include "state/state_dir.hpp"
#include "views/node_view.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Restarts units, never outside the budget; the budget survives a restart of the daemon, since a
/// restart is recorded on disk before it is asked for.
class Restarter {
  public:
    enum class Outcome {
        Restarted,  ///< the job is done
        Failed,     ///< the unit did not start
        Unclear,    ///< it was asked for, and whether the unit was started anew is not known
        NotNow,     ///< nothing was restarted: the budget is used up, one has just failed, the
                    ///< restart cannot be recorded, or systemd cannot be asked
        Never,      ///< restart: never, there is no such unit, or a person stopped it
    };

    Restarter(Units& units, StateDir state) : units_(units), state_(std::move(state)) {}
    void start();
    void setDesired(const Desired& desired) { budget_ = desired.budget; }

    /// Called before a restart is asked for, with its reason.
    void onRestart(std::function<void(const std::string& unit, const std::string& why)> handler) {
        onRestart_ = std::move(handler);
    }

    Task<void> observe(std::string unit);
    Task<Outcome> restart(Service service, std::string why, std::vector<Reason>* reasons);

    /// What made a restart fail may be mended: the next one need not wait.
    void forgetFailures(const std::string& unit) { failing_.erase(unit); }

    int budgetLeft(const std::string& unit) const;
    const Budget& budget() const { return budget_; }
    /// When the budget of a unit allows `needed` restarts.
    WallTime freeAt(const std::string& unit, int needed = 1) const;
    UnitView view(const std::string& unit) const;
    const Seen<ObservedUnit>& observed(const std::string& unit) { return seen_[unit]; }
    /// Whether its restart is this daemon's to make, sooner or later: not of a unit that there is
    /// not, or that somebody stopped.
    bool mayEverRestart(const Service& service);

  private:
    struct Last {
        WallTime at;
        std::string reason;
        std::string result;
    };
    std::optional<Outcome> refusal(const Service& service, const std::string& why,
                                   std::vector<Reason>* reasons);
    void bringToNow();
    void noteFailure(const std::string& unit, const std::string& message);
    Result<void> charge(const std::string& unit);
    void refund(const std::string& unit);

    /// Restarts of a unit that failed, one after the other.
    struct Failing {
        int failures = 0;
        SteadyTime retryAt;
        std::string message;
    };

    Units& units_;
    StateDir state_;
    std::function<void(const std::string&, const std::string&)> onRestart_;
    Budget budget_;
    RestartHistory history_;
    std::map<std::string, Seen<ObservedUnit>> seen_;
    std::map<std::string, Last> last_;
    std::map<std::string, Failing> failing_;
    std::set<std::string> toldMissing_;
};

}  // namespace nodemirror
