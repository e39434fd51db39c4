#pragma once

#include "mirrors/canary_trial.hpp"
#include "mirrors/proof_book.hpp"
#include "plan/reason.hpp"
#include "reconcile/registry_keeper.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Proves a changed chain of a registry that has a canary by a real pull, and takes the change back
/// where it fails and the chain before it passes.
///
/// A change whose mirrors all lack the canary, while the chain before it has it, is not even put in
/// place. Otherwise it is put in place, the canary is resolved through each host separately, and
/// pulled through CRI by digest. What was taken back is not tried again until the desired state
/// changes or an hour has passed.
class ChainProver {
  public:
    struct Hooks {
        /// Puts a registry's file in place after a stand-in was set or taken away.
        std::function<void(const std::string& registry)> reconcile;
        /// Whether the running containerd reads certs.d and CRI answers: without that a pull
        /// proves nothing.
        std::function<bool()> ready;
        std::function<void()> changed;  ///< something to tell is another now
    };

    /// `toldAfter`: how long a proof may wait before that is told.
    ChainProver(boost::asio::io_context& io, Containerd& containerd, RegistryKeeper& registries,
                StateDir state, Hooks hooks,
                std::chrono::milliseconds toldAfter = std::chrono::minutes(3));

    void start() { proofs_.load(); }
    /// Sets stand-ins for changes that are not to be tried (again) yet. Call it before the tree is
    /// reconciled to a new desired state.
    void setDesired(std::shared_ptr<const Desired> desired);
    void setContainerd(ContainerdVersion version, ProxySettings proxies,
                       std::set<std::string> withCredentials);
    /// Begins to prove what is due.
    void run();
    void stop();
    /// The node was looked at: `ready` may say something else now.
    void lookedAgain() { readiness_.cancel(); }

    std::vector<Reason> reasons() const;

  private:
    struct Case {
        Registry registry;
        RenderedHosts text;  ///< of the change
        std::string sha256;  ///< of it
        /// The chain that was there before; nothing where there is none to go back to.
        std::optional<RenderedHosts> before;
        std::string beforeName;
        bool proven = false;  ///< `before` has passed once
    };

    /// A change of which nothing could be proven yet.
    struct Waiting {
        SteadyTime since;
        std::string why;
        int tries = 0;
        SteadyTime retryAt;
    };

    struct Failing {
        std::string evidence;
        int failures = 0;
        SteadyTime retryAt;
    };

    bool hasRoom() const;
    void enqueue(const Registry& registry);
    void retry();
    void startMore();
    void prove(const Registry& registry);
    void fail(const Case& subject, const std::string& evidence);
    Task<void> proveCase(Case subject, unsigned generation);
    Task<std::optional<std::string>> tryOnce(const Case& subject, unsigned generation);
    Task<bool> worthTrying(const Case& subject, std::string* evidence);
    Task<bool> waitUntilReady(const Case& subject, unsigned generation);
    Task<CanaryTrial::Answer> pullThrough(const Case& subject, RenderedHosts* through);
    Waiting& noteWaiting(const Case& subject, const std::string& why);
    void postpone(const Case& subject, const std::string& why);
    std::optional<SteadyTime> dueAt(const std::string& registry) const;
    std::optional<Case> caseFor(const Registry& registry) const;
    bool mayReturnTo(const std::string& text, const Registry& registry) const;
    void accept(const Case& subject, const RenderedHosts& text);
    bool wasRejected(const Case& subject) const;
    void reject(const Case& subject, const std::string& evidence);
    void putInPlace(const Case& subject, std::optional<RenderedHosts> standIn,
                    const std::string& why);
    void addUntried(std::vector<Reason>& out) const;
    void armRetry();

    boost::asio::io_context& io_;
    RegistryKeeper& registries_;
    ProofBook proofs_;
    Hooks hooks_;
    std::chrono::milliseconds toldAfter_;
    CanaryTrial trial_;
    std::shared_ptr<const Desired> desired_;
    std::map<std::string, Failing> failing_;  ///< canaries that fail with either chain
    std::map<std::string, Waiting> waiting_;
    std::set<std::string> underWay_;
    std::deque<const Registry*> queue_;  ///< of desired_, to be proven next
    std::set<std::string> queued_;       ///< their names
    boost::asio::steady_timer retry_;
    boost::asio::steady_timer readiness_;  ///< never ends; cancelled when `ready` is to be asked
    unsigned generation_ = 0;              ///< of the desired state; a proof of an earlier one ends
    bool running_ = false;
};

}  // namespace nodemirror
