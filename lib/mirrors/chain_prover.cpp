#include "mirrors/chain_prover.hpp"

#include "base/digest.hpp"
#include "hosts_toml/upstream.hpp"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace nodemirror {

namespace asio = boost::asio;

namespace {

constexpr size_t kAtOnce = 8;
constexpr std::chrono::hours kRetry{1};

}  // namespace

ChainProver::ChainProver(asio::io_context& io, Containerd& containerd, RegistryKeeper& registries,
                         StateDir state, Hooks hooks, std::chrono::milliseconds toldAfter)
    : io_(io),
      registries_(registries),
      proofs_(io, std::move(state)),
      hooks_(std::move(hooks)),
      toldAfter_(toldAfter),
      trial_(io, containerd, registries.root()),
      retry_(io),
      readiness_(io, SteadyTime::max()) {}

void ChainProver::setContainerd(ContainerdVersion version, ProxySettings proxies,
                                std::set<std::string> withCredentials) {
    trial_.setContainerd(version, std::move(proxies), std::move(withCredentials));
}

/// Whether a change may give way to the hosts.toml of before, be it a person's or one that was
/// proven: never to one that leads to the registry itself where the desired state says that the
/// mirrors are not left.
bool ChainProver::mayReturnTo(const std::string& text, const Registry& registry) const {
    if (registry.fallback == Fallback::Upstream) return true;
    const Chain chain = trial_.decoded(text, registry.name);
    return !chain.empty() && std::none_of(chain.begin(), chain.end(), [&](const ChainHost& host) {
        return leadsUpstream(host, registry.name);
    });
}

/// What is to be proven of a registry; nothing where it has no canary or is proven already.
std::optional<ChainProver::Case> ChainProver::caseFor(const Registry& registry) const {
    if (registry.canary.empty()) return std::nullopt;
    auto rendered = renderHosts(registry);
    if (!rendered) return std::nullopt;
    Case out;
    out.registry = registry;
    out.sha256 = sha256Hex(rendered->text);
    out.text = std::move(*rendered);
    const ProofRecord* last = proofs_.lastGood(registry.name);
    if (last != nullptr && last->declaredSha256 == out.sha256) return std::nullopt;
    if (last != nullptr && mayReturnTo(last->knownGood, registry)) {
        out.before = renderedText(last->knownGood, last->secret);
        out.beforeName = "the chain that was last proven";
        out.proven = true;
    } else if (auto earlier = registries_.earlierText(registry.name);
               !earlier.empty() && mayReturnTo(earlier, registry)) {
        // Whatever it holds, nobody but root is to read it: it may have header values.
        out.before = renderedText(std::move(earlier), true);
        out.beforeName = "the hosts.toml that was there before nodemirrord";
    } else if (registry.fallback == Fallback::Upstream) {
        // Never where the desired state says that the mirrors are not to be left.
        out.before = upstreamOnly();
        out.beforeName = "upstream alone";
    }
    return out;
}

void ChainProver::setDesired(std::shared_ptr<const Desired> desired) {
    ++generation_;
    readiness_.cancel();
    queue_.clear();
    queued_.clear();
    desired_ = std::move(desired);
    failing_.clear();
    waiting_.clear();
    underWay_.clear();
    proofs_.keepOnly(*desired_);
    for (const auto& registry : desired_->registries) {
        const auto subject = caseFor(registry);
        proofs_.forgetOtherRejection(registry.name, subject ? subject->sha256 : "");
        if (!subject) continue;
        if (proofs_.wasRejected(registry.name, subject->sha256))
            (void)registries_.intents().setStandIn(
                registry.name, subject->before,
                subject->beforeName + " is in force: the change failed");
        else if (subject->proven)
            // Not in place before its mirrors have been asked.
            (void)registries_.intents().setStandIn(
                registry.name, subject->before,
                subject->beforeName + " stays until the change is proven");
    }
    if (running_) run();
}

void ChainProver::run() {
    running_ = true;
    if (!desired_) return;
    for (const auto& registry : desired_->registries)
        if (!registry.canary.empty()) enqueue(registry);
    startMore();
    armRetry();
}

/// Behind those that wait already: what fails again and again is not to overtake them.
void ChainProver::enqueue(const Registry& registry) {
    if (underWay_.count(registry.name) == 0 && queued_.insert(registry.name).second)
        queue_.push_back(&registry);
}

/// Only of what is left to prove: to find out of a registry that nothing is takes its rendering.
void ChainProver::retry() {
    for (const auto& registry : desired_->registries)
        if (failing_.count(registry.name) > 0 || waiting_.count(registry.name) > 0 ||
            proofs_.hasRejection(registry.name))
            enqueue(registry);
    startMore();
    armRetry();
}

bool ChainProver::hasRoom() const { return underWay_.size() < kAtOnce; }

/// A few at a time: each asks all of its hosts, and containerd for a pull.
void ChainProver::startMore() {
    while (running_ && hasRoom() && !queue_.empty()) {
        const Registry& next = *queue_.front();
        queue_.pop_front();
        queued_.erase(next.name);
        prove(next);
    }
}

void ChainProver::stop() {
    running_ = false;
    ++generation_;
    readiness_.cancel();
    retry_.cancel();
    proofs_.flush();
}

void ChainProver::prove(const Registry& registry) {
    const std::string& name = registry.name;
    if (underWay_.count(name)) return;
    if (const auto due = dueAt(name); due && *due > std::chrono::steady_clock::now()) return;
    auto subject = caseFor(registry);
    if (!subject || proofs_.isRejected(name, subject->sha256)) {
        waiting_.erase(name);
        failing_.erase(name);
        return;
    }
    underWay_.insert(name);
    const unsigned generation = generation_;
    const auto done = [this, name, generation](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
        if (generation != generation_) return;
        underWay_.erase(name);
        startMore();
        armRetry();
        hooks_.changed();
    };
    asio::co_spawn(io_, proveCase(std::move(*subject), generation), done);
}

/// When it is to be tried again; nothing where there is no reason to wait.
std::optional<SteadyTime> ChainProver::dueAt(const std::string& registry) const {
    std::optional<SteadyTime> due;
    if (const auto found = failing_.find(registry); found != failing_.end())
        due = found->second.retryAt;
    if (const auto found = waiting_.find(registry); found != waiting_.end())
        due = std::max(due.value_or(SteadyTime()), found->second.retryAt);
    return due;
}

/// Rejected changes are tried again after an hour, and canaries that nobody has ever more seldom.
void ChainProver::armRetry() {
    const Duration never = 2 * kRetry;
    const auto now = std::chrono::steady_clock::now();
    Duration wait = proofs_.untilRetry(never);
    const auto consider = [&](const std::string& name) {
        if (hasRoom() && underWay_.count(name) == 0)
            wait = std::min<Duration>(wait, dueAt(name).value_or(now) - now);
    };
    for (const auto& [name, failing] : failing_) consider(name);
    for (const auto& [name, waiting] : waiting_) consider(name);
    if (!running_ || wait == never) return;
    retry_.expires_after(std::clamp<Duration>(wait, std::chrono::seconds(1), kRetry));
    retry_.async_wait([this](const boost::system::error_code& error) {
        if (!error && running_) retry();
    });
}

/// Where nothing is proven (nodemirrord --once), a change that must be is not in force.
void ChainProver::addUntried(std::vector<Reason>& out) const {
    for (const auto& registry : desired_->registries) {
        const auto* variant = registries_.intents().variant(registry.name);
        if (variant == nullptr || !variant->standIn || proofs_.hasRejection(registry.name))
            continue;
        out.push_back(
            makeReason(Reason::Weight::Degraded, "ChangeUnproven", registry.name,
                       "the change of its mirrors is not in force: " + variant->standInReason,
                       "the running service proves it: systemctl start nodemirrord"));
    }
}

std::vector<Reason> ChainProver::reasons() const {
    if (!desired_) return {};
    std::vector<Reason> out = proofs_.reasons(*desired_);
    for (const auto& [name, failing] : failing_)
        out.push_back(makeReason(Reason::Weight::Degraded, "CanaryFails", name,
                                 "the canary " + desired_->find(name)->canary +
                                     " cannot be pulled, through the declared mirrors or the "
                                     "chain before them: " +
                                     failing.evidence,
                                 "nodemirrorctl explain " + desired_->find(name)->canary));
    if (!running_) addUntried(out);
    const auto now = std::chrono::steady_clock::now();
    for (const auto& [name, waiting] : waiting_) {
        if (now - waiting.since < toldAfter_) continue;
        const auto* variant = registries_.intents().variant(name);
        const bool inForce = variant == nullptr || !variant->standIn;
        out.push_back(makeReason(Reason::Weight::Degraded, "ChangeUnproven", name,
                                 (inForce ? "its canary cannot be tried: "
                                          : "the change of its mirrors is not in force: " +
                                                variant->standInReason + "; ") +
                                     waiting.why,
                                 "nodemirrorctl explain " + desired_->find(name)->canary +
                                     "; without a canary the chain is put in place at once"));
    }
    return out;
}

}  // namespace nodemirror
