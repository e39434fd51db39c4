#pragma once

#include "agent/desired_source.hpp"
#include "agent/status_journal.hpp"
#include "agent/watches.hpp"
#include "containerd/containerd_client.hpp"
#include "http/unix_server.hpp"
#include "mirrors/chain_prover.hpp"
#include "mirrors/mirror_health.hpp"
#include "reconcile/node_keeper.hpp"
#include "reconcile/registry_keeper.hpp"
#include "status/status.hpp"
#include "systemd/systemd_units.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <string>

namespace nodemirror {

struct AgentOptions {
    std::string desired = "/etc/nodemirrord/desired.yaml";
    std::string certsDir = "/etc/containerd/certs.d";
    std::string containerdSocket = "/run/containerd/containerd.sock";
    std::string containerdConfig = "/etc/containerd/config.toml";
    std::string stateDir = "/var/lib/nodemirrord";
    std::string statusSocket = "/run/nodemirrord/status.sock";
    std::string version;
};

/// The daemon: owns the adapters and the keepers, and runs them on one io_context in one thread.
class Agent {
  public:
    explicit Agent(AgentOptions options);
    ~Agent();

    /// Act: take the state directory for this daemon alone. Look: change nothing, not even there.
    enum class Mode { Act, Look };
    /// Reads the state and the desired state. An Error here ends the program.
    Result<void> start(Mode mode);
    /// Until SIGTERM or SIGINT.
    Result<void> serve();
    /// One reconciliation, pulls included; gives the status after it.
    Status once();
    /// What would be changed, in the shape of GET /v1/plan.
    Document dryRun();

  private:
    Now now() const;
    Result<void> lockState();
    /// Reads the desired state again. True when another one is in force now; the tree is to be
    /// reconciled to it then.
    bool takeDesired();
    void reloadDesired();
    void reloadAfter(Duration pause);
    size_t reconcileEverything();
    void reconcileSome(const files::TreeWatch::Changes& changes);
    void noteReconcile(SteadyTime began);
    Watches::Hooks watchHooks();
    void followTree();
    void followMounts();
    void lookBelowMounts();
    void armDue();
    void armResync();
    void pollWhileUnwatched();
    void beat();
    Task<void> askContainerd();
    void trimSoon();
    void handleSignals();
    void shutDown();
    Task<void> followImages();
    Task<void> learnSurroundings();
    void nameWriterSoon(const std::string& directory);
    Task<void> nameWriters();
    void orderSoon(const std::set<std::string>& registries);
    void armOrder(std::chrono::milliseconds wait);
    void orderChains();
    std::string orderStandIn(const std::string& registry);
    void putDesiredInForce();
    void reconcileDirectories(const std::set<std::string>& directories);
    ChainProver::Hooks proverHooks();
    Task<http::Answer> handle(http::Request request);
    Task<http::Answer> reconcileNow();
    Task<http::Answer> plan();
    http::Answer statusAnswer();
    Status status() const;
    Task<Document> planned();
    void spawn(Task<void> task);

    AgentOptions options_;
    boost::asio::io_context io_{1};
    StateDir state_;
    DesiredSource desired_;
    RegistryKeeper registries_;
    ContainerdClient containerd_;
    systemd::SystemdUnits units_;
    NodeKeeper node_;
    MirrorHealth health_;
    ChainProver prover_;
    http::UnixServer server_;
    UniqueFd lock_;
    Watches watches_;

    boost::asio::steady_timer dueTimer_;
    boost::asio::steady_timer reloadTimer_;
    boost::asio::steady_timer orderTimer_;
    boost::asio::steady_timer resyncTimer_;
    boost::asio::steady_timer mountTimer_;
    boost::asio::steady_timer beatTimer_;
    boost::asio::steady_timer trimTimer_;
    boost::asio::steady_timer exitTimer_;
    boost::asio::steady_timer streamTimer_;
    boost::asio::steady_timer subscribedTimer_;
    boost::asio::signal_set signals_;
    std::set<std::string> unnamed_;  ///< contested directories, of which nobody knows by whom
    bool naming_ = false;            ///< somebody is finding out
    std::set<std::string> toOrder_;  ///< registries whose mirrors' health changed
    SteadyTime orderedAt_;
    int unread_ = 0;  ///< how often in turn the desired state could not be read
    ReconcileView reconcile_;
    std::shared_ptr<const std::string> statusBody_;  ///< until something changes
    SteadyTime statusAt_;                            ///< when it was rendered
    bool probedSince_ = false;
    int learntOf_ = 0;       ///< the containerd process whose surroundings are known
    ProxySettings proxies_;  ///< that it goes through
    bool stopping_ = false;
    bool polling_ = false;  ///< since not everything can be watched
    bool mountTimerArmed_ = false;
    bool trimArmed_ = false;
    SteadyTime lastBeat_;
    StatusJournal journal_;
};

}  // namespace nodemirror
