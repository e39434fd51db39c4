#include "agent/agent.hpp"

#include "systemd/notify.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

namespace nodemirror {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::minutes;

namespace {

/// The first pause before what could not be read is tried again; each is twice the one before.
constexpr milliseconds kReadAgain{2000};
constexpr milliseconds kReadAgainAtMost{60000};

NodeKeeper::Paths pathsOf(const AgentOptions& options) {
    NodeKeeper::Paths paths;
    paths.containerdConfig = options.containerdConfig;
    paths.containerdSocket = options.containerdSocket;
    paths.certsDir = options.certsDir;
    return paths;
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      state_(options_.stateDir),
      desired_(options_.desired, state_),
      registries_(files::CertsTree(options_.certsDir), state_),
      containerd_(io_, options_.containerdSocket),
      units_(io_),
      node_(io_, containerd_, units_, state_, pathsOf(options_)),
      health_(
          io_, state_, [this](const std::set<std::string>& registries) { orderSoon(registries); },
          [this] {
              probedSince_ = true;
              trimSoon();
              beat();
          }),
      prover_(io_, containerd_, registries_, state_, proverHooks()),
      server_(io_, [this](http::Request request) { return handle(std::move(request)); }),
      watches_(io_, options_.certsDir, watchHooks()),
      dueTimer_(io_),
      reloadTimer_(io_),
      orderTimer_(io_),
      resyncTimer_(io_),
      mountTimer_(io_),
      beatTimer_(io_),
      trimTimer_(io_),
      exitTimer_(io_),
      streamTimer_(io_),
      subscribedTimer_(io_),
      signals_(io_) {}

Agent::~Agent() = default;

Now Agent::now() const {
    Now now;
    now.steady = std::chrono::steady_clock::now();
    now.wall = std::chrono::system_clock::now();
    return now;
}

void Agent::spawn(Task<void> task) {
    const auto done = [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);  // leaves run(): the program ends
    };
    asio::co_spawn(io_, std::move(task), done);
}

Result<void> Agent::lockState() {
    if (const auto made = state_.ensure(); !made) return made;
    const std::string lockPath = options_.stateDir + "/lock";
    lock_ = UniqueFd(::open(lockPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_) return Error::system("open", lockPath, errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
        return Error("use", options_.stateDir, "another nodemirrord is using it",
                     "stop it first: systemctl stop nodemirrord");
    // Alone now: what a crash left half-written goes.
    const std::string& config = options_.containerdConfig;
    for (const auto& directory : {options_.stateDir, options_.stateDir + "/backups",
                                  config.substr(0, config.rfind('/') + 1)})
        files::removeLeftovers(directory);
    return {};
}

Result<void> Agent::start(Mode mode) {
    if (mode == Mode::Act)
        if (const auto locked = lockState(); !locked) return locked;
    if (const auto started = registries_.start(); !started) return started;
    node_.start();
    health_.start();
    prover_.start();
    node_.onVersion([this, mode](ContainerdVersion version) {
        registries_.setContainerd(version);
        if (mode == Mode::Act) (void)reconcileEverything();
    });
    node_.onReplaced(
        [this](const std::vector<Registry>& replaced) { registries_.keepReplaced(replaced); });
    registries_.onContested([this](const std::string& directory) { nameWriterSoon(directory); });
    registries_.onProgress([] { systemd::notify("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000"); });
    units_.onChange([this] { node_.trigger(); });
    node_.onPass([this] {
        statusBody_.reset();
        prover_.lookedAgain();
        trimSoon();
        // Another containerd process may have another version, and another proxy to go through.
        const int process = containerd_.processId();
        if (process != 0 && process != learntOf_ && !stopping_) {
            learntOf_ = process;
            spawn(learnSurroundings());
        }
        watches_.setConfig(node_.configFiles());
        pollWhileUnwatched();
        const Status current = status();
        journal_.tell(current);
        systemd::notifyStatus(
            phaseName(current.phase) +
            (current.reasons.empty() ? "" : ": " + current.reasons.front().message));
    });
    (void)desired_.reload(mode == Mode::Act);
    if (desired_.current()) putDesiredInForce();
    return {};
}

void Agent::putDesiredInForce() {
    const auto& desired = desired_.current();
    registries_.intents().setDesired(desired);
    health_.setDesired(desired);
    node_.setDesired(desired);
    // In the right order at once: what is known to be down is not put first in between.
    for (const auto& registry : desired->registries)
        (void)registries_.intents().setOrder(registry.name, health_.ordered(registry));
    prover_.setDesired(desired);
    for (const auto& registry : desired->registries) (void)orderStandIn(registry.name);
}

void Agent::noteReconcile(SteadyTime began) {
    ++reconcile_.count;
    reconcile_.lastAt = std::chrono::system_clock::now();
    reconcile_.lastDurationMs =
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began).count();
    const auto& problem = registries_.treeProblem();
    reconcile_.lastError = problem ? problem->text() : "";
    statusBody_.reset();
    armDue();
}

size_t Agent::reconcileEverything() {
    const Now began = now();
    const size_t changed = registries_.reconcileAll(began);
    noteReconcile(began.steady);
    return changed;
}

void Agent::reconcileSome(const files::TreeWatch::Changes& changes) {
    if (changes.everything) {
        (void)reconcileEverything();
        return;
    }
    if (!changes.directories.empty()) reconcileDirectories(changes.directories);
}

bool Agent::takeDesired() {
    const bool changed = desired_.reload(true);
    statusBody_.reset();
    watches_.setDesired(desired_.files());
    if (changed) putDesiredInForce();
    if (desired_.worthRetrying()) {
        reloadAfter(backoff(kReadAgain, unread_++, kReadAgainAtMost));
    } else {
        unread_ = 0;
    }
    pollWhileUnwatched();
    trimSoon();
    return changed;
}

void Agent::reloadDesired() {
    if (takeDesired()) (void)reconcileEverything();
}

Status Agent::status() const {
    Status out;
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    out.version = options_.version;
    out.node = host;
    out.socket = options_.containerdSocket;
    out.certsDir = options_.certsDir;
    out.desired = desired_.view();
    out.nodeView = node_.view();
    out.registries = registries_.views();
    for (const auto& view : out.registries)
        for (const auto& chainHost : view.chain) {
            const HostHealth* health = health_.health(view.name, chainHost.url());
            if (health != nullptr) out.health[view.name][chainHost.url()] = *health;
        }
    out.mirrorReasons = health_.reasons();
    for (auto& reason : prover_.reasons()) out.mirrorReasons.push_back(std::move(reason));
    out.reconcile = reconcile_;
    out.reconcile.heals = registries_.heals() + node_.heals();
    TreeState tree;
    tree.problem = registries_.treeProblem();
    tree.leftOut = registries_.leftOut();
    tree.unwatched = watches_.limited();
    judge(out, tree);
    return out;
}

Status Agent::once() {
    (void)reconcileEverything();
    while (registries_.areWaiting()) (void)registries_.reconcileDue(now());
    if (desired_.current()) {
        // The connection to D-Bus would keep run() waiting: it is ended by hand.
        const auto done = [this](std::exception_ptr failure) {
            io_.stop();
            if (failure) std::rethrow_exception(failure);
        };
        asio::co_spawn(io_, node_.settle(std::chrono::steady_clock::now() + minutes(10)), done);
        io_.run();
    }
    return status();
}

Task<Document> Agent::planned() {
    std::vector<PlannedChange> changes = registries_.preview(now());
    auto task = node_.preview();
    for (auto& change : co_await std::move(task)) changes.push_back(std::move(change));
    co_return planDocument(changes, status().reasons);
}

Document Agent::dryRun() {
    Document out;
    const auto done = [this, &out](std::exception_ptr failure, Document plan) {
        io_.stop();
        if (failure) std::rethrow_exception(failure);
        out = std::move(plan);
    };
    asio::co_spawn(io_, planned(), done);
    io_.run();
    return out;
}

}  // namespace nodemirror
