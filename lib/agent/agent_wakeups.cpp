/// What wakes the daemon: files that change, and timers.
#include "agent/agent.hpp"
#include "agent/idle_memory.hpp"
#include "systemd/notify.hpp"

#include <fcntl.h>

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

/// Gives the descriptor to the loop, to be told when something comes.
bool hear(asio::posix::stream_descriptor& ready, UniqueFd fd) {
    error_code error;
    if (fd) ready.assign(fd.get(), error);
    if (!fd || error) return false;
    (void)fd.release();
    return true;
}

}  // namespace

/// Without a watch (fs.inotify.max_user_instances) the daemon looks every few seconds: a node whose
/// limits are used up by others must not lose its mirrors too.
void Agent::openWatches() {
    // Before what it is to tell of: a mount in between is told.
    auto mounts = files::openMountTable();
    auto tree = files::TreeWatch::open(options_.certsDir);
    auto desired = files::FilesWatch::open();
    auto config = files::FilesWatch::open();
    if (!tree || !desired || !config) {
        watchError_ = "inotify is not available";
        return;
    }
    watchError_.clear();
    tree_.emplace(std::move(*tree));
    desiredWatch_.emplace(std::move(*desired));
    configWatch_.emplace(std::move(*config));
    desiredWatch_->setFiles(desired_.files());
    configWatch_->setFiles(configFiles());
    // Duplicates, so that Asio closes its own.
    const auto copyOf = [](int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); };
    if (!hear(treeReady_, copyOf(tree_->fd())) ||
        !hear(desiredReady_, copyOf(desiredWatch_->fd())) ||
        !hear(configReady_, copyOf(configWatch_->fd()))) {
        closeWatches();
        watchError_ = "no descriptor is left to watch with";
        return;
    }
    watchTree();
    watchDesired();
    watchConfig();
    if (hear(mountsChanged_, std::move(mounts))) watchMounts();
}

void Agent::closeWatches() {
    error_code ignored;
    for (auto* ready : {&treeReady_, &desiredReady_, &configReady_, &mountsChanged_})
        ready->close(ignored);
    tree_.reset();
    desiredWatch_.reset();
    configWatch_.reset();
}

std::string Agent::unwatched() const {
    if (!tree_) return watchError_;
    for (const std::string* limited :
         {&tree_->limited(), &desiredWatch_->limited(), &configWatch_->limited()})
        if (!limited->empty()) return *limited;
    return "";
}

/// What could not be watched for want of resources may be now.
void Agent::watchAgain() {
    if (!tree_) {
        openWatches();
        return;
    }
    if (!tree_->limited().empty()) tree_->watchAgain();
    if (!configWatch_->limited().empty()) configWatch_->setFiles(configFiles());
}

void Agent::watchTree() {
    treeReady_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [this](const error_code& error) {
                              if (error || stopping_) return;
                              reconcileSome(tree_->drain());
                              pollWhileUnwatched();
                              watchTree();
                          });
}

void Agent::watchDesired() {
    desiredReady_.async_wait(asio::posix::stream_descriptor::wait_read,
                             [this](const error_code& error) {
                                 if (error || stopping_) return;
                                 if (desiredWatch_->drain()) reloadAfter(kSettle);
                                 watchDesired();
                             });
}

void Agent::reloadAfter(Duration pause) {
    reloadTimer_.expires_after(pause);
    reloadTimer_.async_wait([this](const error_code& cancelled) {
        if (!cancelled && !stopping_) reloadDesired();
    });
}

void Agent::watchConfig() {
    configReady_.async_wait(asio::posix::stream_descriptor::wait_read,
                            [this](const error_code& error) {
                                if (error || stopping_) return;
                                if (configWatch_->drain()) {
                                    node_.trigger();
                                    followTree();
                                }
                                watchConfig();
                            });
}

/// The files of containerd's configuration, and certs.d itself: a link on the way to it may come to
/// lead elsewhere, which no watch in it tells.
std::vector<std::string> Agent::configFiles() const {
    auto out = node_.configFiles();
    out.push_back(options_.certsDir);
    return out;
}

/// Watches what certs.d is now.
void Agent::followTree() {
    if (!tree_ || !tree_->moved()) return;
    (void)reconcileEverything();
    pollWhileUnwatched();
}

void Agent::watchMounts() {
    mountsChanged_.async_wait(asio::posix::stream_descriptor::wait_error,
                              [this](const error_code& error) {
                                  if (error || stopping_) return;
                                  // First: the kernel tells of a change once, and only to who waits
                                  // (mounts_poll of fs/proc_namespace.c).
                                  watchMounts();
                                  followMounts();
                              });
}

/// Watches what lies where the files are now.
void Agent::followMounts() {
    if (!tree_) return;
    if (desiredWatch_->moved()) reloadDesired();
    if (tree_->moved())
        (void)reconcileEverything();
    else
        lookBelowMounts();
    if (configWatch_->moved()) node_.trigger();
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
    polling_ = !unwatched().empty();
    resyncTimer_.expires_after(polling_ ? std::chrono::milliseconds(kPoll) : kResync);
    resyncTimer_.async_wait([this](const error_code& error) {
        if (error || stopping_) return;
        // Not every change of it brings an event: a directory far above may have been swapped, or a
        // server have another file.
        (void)takeDesired();
        if (polling_) {
            watchAgain();
            node_.trigger();
        }
        followTree();
        (void)reconcileEverything();
        armResync();
    });
}

/// Begins to look every few seconds when something cannot be watched, and ends it when all can be.
void Agent::pollWhileUnwatched() {
    if (!stopping_ && polling_ == unwatched().empty()) armResync();
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
