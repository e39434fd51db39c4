/// The daemon's dealings with mirrors: their order by health, and the proof of their chains.
#include "agent/agent.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

namespace nodemirror {

using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

/// What changes within this time makes one write a registry.
constexpr milliseconds kTogether{30};
/// When hundreds of mirrors change, their registries are written no oftener than this.
constexpr milliseconds kBetweenOrders{500};

}  // namespace

/// The health of mirrors changed: their registries' chains may have another order. What changes
/// within a moment makes one write a registry.
void Agent::orderSoon(const std::set<std::string>& registries) {
    statusBody_.reset();
    const bool armed = !toOrder_.empty();
    toOrder_.insert(registries.begin(), registries.end());
    const auto rest = std::chrono::ceil<milliseconds>(orderedAt_ + kBetweenOrders -
                                                      std::chrono::steady_clock::now());
    if (!armed) armOrder(std::max(kTogether, rest));
}

void Agent::armOrder(milliseconds wait) {
    orderTimer_.expires_after(wait);
    orderTimer_.async_wait([this](const error_code& error) {
        if (!error && !stopping_) orderChains();
    });
}

/// A few registries at a time: a mirror of thousands of them must not keep drift waiting.
void Agent::orderChains() {
    constexpr size_t kAtOnce = 4;  // each waits for the disk a few times
    health_.remember();
    std::set<std::string> directories;
    for (size_t i = 0; i < kAtOnce && !toOrder_.empty(); ++i) {
        const std::string name = *toOrder_.begin();
        toOrder_.erase(toOrder_.begin());
        const auto& desired = desired_.current();
        if (const Registry* registry = desired ? desired->find(name) : nullptr;
            registry != nullptr) {
            directories.insert(registries_.intents().setOrder(name, health_.ordered(*registry)));
            directories.insert(orderStandIn(name));
        }
    }
    reconcileDirectories(directories);
    orderedAt_ = std::chrono::steady_clock::now();
    if (!toOrder_.empty()) armOrder(milliseconds(1));
}

/// Puts what stands in for a registry's chain in the order that health gives it. Says which
/// directory is to be reconciled.
std::string Agent::orderStandIn(const std::string& registry) {
    health_.setStandIn(registry, registries_.standIn(registry));
    return registries_.intents().setStandInOrder(registry, health_.orderedStandIn(registry));
}

void Agent::reconcileDirectories(const std::set<std::string>& directories) {
    const Now began = now();
    if (registries_.reconcile(directories, began) > 0) noteReconcile(began.steady);
    statusBody_.reset();
    armDue();
}

ChainProver::Hooks Agent::proverHooks() {
    ChainProver::Hooks hooks;
    hooks.reconcile = [this](const std::string& registry) {
        const std::set<std::string> one{orderStandIn(registry)};
        reconcileDirectories(one);
    };
    hooks.ready = [this] {
        const NodeView& view = node_.view();
        const auto& cri = view.observed.cri;
        return cri.isKnown() && cri.value().ready && view.configPath.effective.value_or(true);
    };
    hooks.changed = [this] { statusBody_.reset(); };
    return hooks;
}

/// Looks for who may be changing a contested file, once for all that are contested by then: systemd
/// goes through all processes for it.
void Agent::nameWriterSoon(const std::string& directory) {
    unnamed_.insert(directory);
    if (naming_ || stopping_) return;
    naming_ = true;
    boost::asio::post(io_, [this] { spawn(nameWriters()); });
}

Task<void> Agent::nameWriters() {
    while (!unnamed_.empty() && !stopping_) {
        const auto directories = std::exchange(unnamed_, {});
        auto ask = units_.processes();
        const auto processes = co_await std::move(ask);
        if (!processes) continue;
        const auto writers = possibleWriters(*processes, options_.certsDir, ::getpid());
        for (const auto& directory : directories) registries_.setWriters(directory, writers);
        statusBody_.reset();
    }
    naming_ = false;
}

/// What probes and canaries need to know of containerd: its version, the proxy that it goes
/// through, and of which hosts it has credentials.
Task<void> Agent::learnSurroundings() {
    const auto& desired = desired_.current();
    const std::string unit = desired ? desired->containerd.unit : Desired().containerd.unit;
    auto ask = units_.environment(unit);
    const auto environment = co_await std::move(ask);
    if (environment)
        proxies_ = proxySettings(*environment);
    else
        learntOf_ = 0;  // with the next pass; until then the proxy that was known stays
    const auto& version = node_.view().observed.version;
    const ContainerdVersion known = version.isKnown() ? version.value() : kAssumedVersion;
    std::set<std::string> withCredentials;
    if (const auto& config = node_.view().observed.config; config.isKnown())
        for (const auto& host : config.value().hosts)
            if (host.hasAuth) withCredentials.insert(host.host);
    health_.setContainerd(known, proxies_);
    prover_.setContainerd(known, proxies_, std::move(withCredentials));
}

}  // namespace nodemirror
