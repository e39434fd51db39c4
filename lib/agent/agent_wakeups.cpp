/// What wakes the daemon: changes that are told, and timers.
#include "agent/agent.hpp"
#include "agent/idle_memory.hpp"
#include "systemd/notify.hpp"

namespace nodemirror {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::minutes;

namespace {

/// A look at everything in case an event was lost; nothing should depend on it.
constexpr minutes kResync{10};
/// The same while changes cannot be seen: then everything depends on it.
constexpr std::chrono::seconds kPoll{5};
/// Editors write a file in several steps: read when they are done.
constexpr milliseconds kSettle{30};
constexpr std::chrono::seconds kTrimAfter{5};
constexpr std::chrono::seconds kMountsSettle{5};
/// How often containerd is asked whether it still answers.
constexpr minutes kBeat{1};

}  // namespace

Watches::Hooks Agent::watchHooks() {
    Watches::Hooks hooks;
    hooks.tree = [this](const files::TreeWatch::Changes& changes) {
        reconcileSome(changes);
        pollWhileUnwatched();
    };
    hooks.desired = [this] { reloadAfter(kSettle); };
    hooks.config = [this] {
        node_.trigger();
        followTree();
    };
    hooks.mounts = [this] { followMounts(); };
    return hooks;
}

void Agent::reloadAfter(Duration pause) {
    reloadTimer_.expires_after(pause);
    reloadTimer_.async_wait([this](const error_code& cancelled) {
        if (!cancelled && !stopping_) reloadDesired();
    });
}

/// Watches what certs.d is now.
void Agent::followTree() {
    if (!watches_.treeMoved()) return;
    (void)reconcileEverything();
    pollWhileUnwatched();
}

/// Watches what lies where the files are now.
void Agent::followMounts() {
    if (watches_.desiredMoved()) reloadDesired();
    if (watches_.treeMoved())
        (void)reconcileEverything();
    else
        lookBelowMounts();
    if (watches_.configMoved()) node_.trigger();
    pollWhileUnwatched();
}

/// Something may have been mounted on a registry's directory or file, which no watch tells. Where
/// pods come and go mounts do all the time: one look for those of a few seconds.
void Agent::lookBelowMounts() {
    if (mountTimerArmed_) return;
    mountTimerArmed_ = true;
    mountTimer_.expires_after(kMountsSettle);
    mountTimer_.async_wait([this](const error_code& error) {
        mountTimerArmed_ = false;
        if (!error && !stopping_) (void)reconcileEverything();
    });
}

void Agent::armDue() {
    const SteadyTime due = registries_.due();
    if (due == SteadyTime()) return;
    dueTimer_.expires_at(due);
    dueTimer_.async_wait([this](const error_code& error) {
        if (error || stopping_) return;
        const Now began = now();
        const bool goesOn = registries_.areWaiting();  // the rest of a pass
        (void)registries_.reconcileDue(began);
        if (!goesOn) {
            noteReconcile(began.steady);
            return;
        }
        statusBody_.reset();
        armDue();
    });
}

void Agent::armResync() {
    polling_ = !watches_.limited().empty();
    resyncTimer_.expires_after(polling_ ? std::chrono::milliseconds(kPoll) : kResync);
    resyncTimer_.async_wait([this](const error_code& error) {
        if (error || stopping_) return;
        // Not every change of it brings an event: a directory far above may have been swapped, or a
        // server have another file.
        (void)takeDesired();
        if (polling_) {
            watches_.watchAgain();
            node_.trigger();
        }
        followTree();
        (void)reconcileEverything();
        armResync();
    });
}

/// Begins to look every few seconds when something cannot be watched, and ends it when all can be:
/// a node whose limits are used up by others must not lose its mirrors too.
void Agent::pollWhileUnwatched() {
    if (!stopping_ && polling_ == watches_.limited().empty()) armResync();
}

/// Gives back the memory of a burst of work (a reload, hundreds of probes) once it is over.
void Agent::trimSoon() {
    if (trimArmed_) return;
    trimArmed_ = true;
    trimTimer_.expires_after(kTrimAfter);
    trimTimer_.async_wait([this](const error_code& error) {
        trimArmed_ = false;
        if (!error && !stopping_) giveBackIdleMemory();
    });
}

/// Called by whatever wakes the loop (a probe), and by a timer of its own only where nothing does.
void Agent::beat() {
    const auto interval = std::min<std::chrono::microseconds>(
        kBeat, systemd::watchdogInterval().value_or(std::chrono::microseconds::max()));
    const SteadyTime now = std::chrono::steady_clock::now();
    if (stopping_ || now - lastBeat_ < interval / 4) return;
    lastBeat_ = now;
    systemd::notify("WATCHDOG=1");
    spawn(askContainerd());
    beatTimer_.expires_after(interval);
    beatTimer_.async_wait([this](const error_code& error) {
        if (!error) beat();
    });
}

/// A containerd that froze does not say so, and its connections stay open.
Task<void> Agent::askContainerd() {
    auto task = containerd_.version();
    const auto answer = co_await std::move(task);
    if (!answer && node_.view().reachable == true) node_.trigger();
}

}  // namespace nodemirror
