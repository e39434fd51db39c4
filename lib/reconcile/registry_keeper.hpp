#pragma once

#include "files/certs_tree.hpp"
#include "plan/contest.hpp"
#include "plan/look_pace.hpp"
#include "plan/registry_plan.hpp"
#include "reconcile/registry_claims.hpp"
#include "reconcile/registry_intents.hpp"
#include "views/registry_view.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Keeps the certs.d tree as desired: observes, plans and applies one registry at a time. What was
/// there before is RegistryClaims' to keep, and to give back. Its work is bounded by what it is
/// asked to look at, so that a heal costs the same whatever the tree's size.
class RegistryKeeper {
  public:
    RegistryKeeper(files::CertsTree tree, StateDir state);

    /// Reads what it owns. On an error it must not be used: it would not know what is the user's.
    Result<void> start() { return claims_.load(); }

    /// What is desired, and what stands in for it. Setting it does not touch the tree.
    RegistryIntents& intents() { return intents_; }
    /// Root's own hosts.toml that was there before the daemon's first one; empty when there was
    /// none. What is kept aside is of others, who may write it at any time.
    std::string earlierText(const std::string& registry) const;
    /// The chain that stands in for a registry's declared one, as its text has it; nothing where
    /// none does, or where the desired state has no words for it.
    std::optional<Registry> standIn(const std::string& registry) const;
    /// See RegistryClaims.
    void keepReplaced(const std::vector<Registry>& replaced) { claims_.keepReplaced(replaced); }
    /// The hosts.toml of a declared registry, where it is the intended one, to the byte: in the
    /// order that the mirrors' health gives it, or a stand-in.
    std::optional<RenderedHosts> textInPlace(const std::string& registry) const;
    /// The containerd whose reading of undeclared registries is reported.
    void setContainerd(const ContainerdVersion& version) { containerd_ = version; }

    /// Called when a file was healed that somebody keeps changing; setWriters then tells who it is.
    void onContested(std::function<void(const std::string& directory)> handler) {
        contested_ = std::move(handler);
    }
    void setWriters(const std::string& directory, const std::string& writers);

    /// Brings these directories, or all, to what is desired. Says how many files it changed.
    size_t reconcile(const std::set<std::string>& directories, const Now& now);
    size_t reconcileAll(const Now& now);
    /// Looks at what is due again: contested files, writes that failed, what waits for its turn.
    size_t reconcileDue(const Now& now);
    /// Whether directories of others wait to be looked at. They may take their time: a turn of the
    /// loop has a part of them, after what is to be in place. Not while the tree cannot be used.
    bool areWaiting() const { return !waiting_.empty() && !treeProblem_; }
    /// Called now and then in a long pass, so that nobody takes the process for hung.
    void onProgress(std::function<void()> handler) { progress_ = std::move(handler); }
    /// When something is due; the epoch when nothing is.
    SteadyTime due() const;

    /// What reconcileAll would change, without changing it; nothing where treeProblem tells why.
    std::vector<PlannedChange> preview(const Now& now);

    std::vector<RegistryView> views() const;
    const std::string& root() const { return tree_.root(); }
    size_t heals() const { return heals_; }
    /// How many files were changed so far.
    size_t changes() const { return changes_; }
    /// How many undeclared names were not looked at, for there are too many.
    size_t leftOut() const { return leftOut_; }
    /// Why the tree as a whole cannot be used; nothing when it can.
    const std::optional<Error>& treeProblem() const { return treeProblem_; }

  private:
    /// A look at a file that was found as intended.
    struct Verified {
        files::CertsTree::Seal seal;
        std::string sha256;
        SteadyTime until;  ///< then it is read again, whatever the seal says
    };
    struct Track {
        Contest contest;
        LookPace pace;     ///< of an undeclared registry
        LookPace failing;  ///< of what fails, which an event may be the end of, or not
        std::optional<Verified> verified;
        RegistryState state = RegistryState::Drifted;
        std::string problem;
        std::string remedy;       ///< of a failure; empty where only time mends it
        std::string contestTold;  ///< what the fight is about, for the problem
        std::string writers;      ///< who may be fighting
        std::vector<std::string> warnings;
        Chain chain;          ///< of an undeclared registry
        bool absent = false;  ///< undeclared and not there: kept only for its contest
        std::optional<WallTime> healedAt;
        std::string healCause;
        int failures = 0;
        SteadyTime retryAt;  ///< after a failure; the epoch where there was none

        /// When to look again; the epoch when there is no need to.
        SteadyTime due() const {
            for (const LookPace* putOff : {&pace, &failing})
                if (putOff->due() != SteadyTime()) return putOff->due();
            return retryAt != SteadyTime() ? retryAt : contest.due();
        }
    };
    struct Step {
        std::string directory;
        RegistryAction action;
        Seen<ObservedRegistry> observed;
        bool repeated = false;  ///< it undoes what somebody did to what was in place
        RegistryClaims::Claim claim;
    };

    Chain decoded(const std::string& text, const std::string& directory) const;
    RegistryView declaredView(const Registry& registry) const;
    std::optional<Step> planFor(const std::string& directory,
                                const Seen<ObservedRegistry>& observed) const;
    void look(const std::string& directory, const files::CertsTree::Seals& seals,
              std::vector<Step>& steps, const Now& now);
    std::vector<const Step*> claim(std::vector<Step>& steps, const Now& now);
    std::map<std::string, Result<void>> writeFresh(const std::vector<const Step*>& claimed);
    void observeOnly(const std::string& directory, const Seen<ObservedRegistry>& observed,
                     const Now& now);
    size_t carryOut(const std::set<std::string>& directories, const Now& now);
    size_t reconcileWaiting(const Now& now);
    bool isOurs(const std::string& directory) const;
    bool mustWait(const std::string& directory, const Now& now);
    static Duration pauseAfter(int failures);
    bool ensureTree(const Now& now);
    Result<void> refuseOthers() const;
    bool noteTree(const Result<void>& made, const Now& now);
    bool isRepeated(const Step& step) const;
    void tellContest(Track& track) const;
    /// False where it failed.
    bool apply(const Step& step, const std::optional<Result<void>>& written, const Now& now);
    Result<void> execute(const Step& step, const std::optional<Result<void>>& written);
    Result<void> put(const WriteHosts& action);
    Result<void> takeAway(const PruneHosts& action);
    void failed(const std::string& directory, const Error& error, const Now& now);
    void noteUndeclared(const std::string& directory, Track& track) const;
    struct Places {
        std::set<std::string> directories;
        size_t leftOut = 0;  ///< undeclared ones, for there are too many
    };
    Places toLookAt(SteadyTime now) const;

    files::CertsTree tree_;
    RegistryClaims claims_;
    RegistryIntents intents_;
    std::map<std::string, Track> tracks_;  ///< by directory
    std::set<std::string> waiting_;        ///< directories of others, for their turn
    std::string lastTurn_;                 ///< the last of them that had it
    SteadyTime waitingDue_;                ///< when that is; the epoch where none waits
    ContainerdVersion containerd_ = kAssumedVersion;
    std::function<void(const std::string&)> contested_;
    std::function<void()> progress_;
    bool swept_ = false;  ///< what a crash left is gone
    size_t heals_ = 0;
    size_t changes_ = 0;
    size_t leftOut_ = 0;
    std::optional<Error> treeProblem_;
    int treeFailures_ = 0;
    SteadyTime treeRetryAt_;  ///< the epoch where the tree can be used
};

}  // namespace nodemirror
