#include "mirrors/chain_prover.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "hosts_toml/upstream.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace nodemirror {

namespace asio = boost::asio;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

constexpr size_t kAtOnce = 8;
constexpr seconds kAgain{5};
constexpr seconds kAgainAtMost{600};  ///< for a change that was worse than what is there
constexpr seconds kFirstRetry{60};
constexpr hours kRetry{1};

}  // namespace

ChainProver::ChainProver(asio::io_context& io, Containerd& containerd, RegistryKeeper& registries,
                         StateDir state, Hooks hooks)
    : io_(io),
      registries_(registries),
      proofs_(io, std::move(state)),
      hooks_(std::move(hooks)),
      trial_(io, containerd, registries.root()),
      retry_(io),
      readiness_(io, SteadyTime::max()) {}

void ChainProver::setContainerd(ContainerdVersion version, ProxySettings proxies) {
    trial_.setContainerd(version, std::move(proxies));
}

/// Whether a failed change may give way to a hosts.toml that somebody wrote before: never to one
/// that leads to the registry itself where the desired state says that the mirrors are not left.
bool ChainProver::mayReturnTo(const std::string& text, const Registry& registry) const {
    if (registry.fallback == Fallback::Upstream) return true;
    const Chain chain = trial_.decoded(text, registry.name);
    return !chain.empty() && std::none_of(chain.begin(), chain.end(), [&](const ChainHost& host) {
        return isUpstream(host, registry.name);
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
    if (const ProofRecord* last = proofs_.lastGood(registry.name)) {
        if (last->knownGood == out.text.text) return std::nullopt;
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
    pausing_ = 0;
    desired_ = std::move(desired);
    failing_.clear();
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
    // Behind those that wait already: what fails again and again is not to overtake them.
    for (const auto& registry : desired_->registries)
        if (!registry.canary.empty() && underWay_.count(registry.name) == 0 &&
            queued_.insert(registry.name).second)
            queue_.push_back(&registry);
    startMore();
    armRetry();
}

bool ChainProver::hasRoom() const { return underWay_.size() - pausing_ < kAtOnce; }

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
    const auto failing = failing_.find(name);
    if (failing != failing_.end() && failing->second.retryAt > std::chrono::steady_clock::now())
        return;
    auto subject = caseFor(registry);
    if (!subject || proofs_.isRejected(name, subject->sha256)) return;
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

/// Rejected changes are tried again after an hour, and canaries that nobody has ever more seldom.
void ChainProver::armRetry() {
    const Duration never = 2 * kRetry;
    Duration wait = proofs_.untilRetry(never);
    for (const auto& [name, failing] : failing_)
        if (hasRoom() && underWay_.count(name) == 0)
            wait = std::min<Duration>(wait, failing.retryAt - std::chrono::steady_clock::now());
    if (!running_ || wait == never) return;
    retry_.expires_after(std::clamp<Duration>(wait, std::chrono::seconds(1), kRetry));
    retry_.async_wait([this](const boost::system::error_code& error) {
        if (error || !running_) return;
        run();
    });
}

Task<bool> ChainProver::waitUntilReady(unsigned generation) {
    while (generation == generation_ && !hooks_.ready()) {
        boost::system::error_code ignored;
        auto wait = readiness_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
    }
    co_return generation == generation_;
}

/// Whether a change is to be put in place at all: not when none of its hosts has the canary and
/// the chain before it does.
Task<bool> ChainProver::worthTrying(const Case& subject, std::string* evidence) {
    auto ask = trial_.askHosts(subject.registry, subject.text.text);
    const CanaryTrial::Hosts hosts = co_await std::move(ask);
    *evidence = hosts.evidence;
    if (hosts.having > 0) co_return true;
    auto askBefore = trial_.askHosts(subject.registry, subject.before->text);
    const CanaryTrial::Hosts before = co_await std::move(askBefore);
    co_return before.having == 0;
}

void ChainProver::putInPlace(const Case& subject, std::optional<RenderedHosts> standIn,
                             const std::string& why) {
    hooks_.reconcile(
        registries_.intents().setStandIn(subject.registry.name, std::move(standIn), why));
}

void ChainProver::accept(const Case& subject) {
    proofs_.accept(subject.registry.name, subject.text);
    failing_.erase(subject.registry.name);
    spdlog::info("registry={} event=proven canary={}", subject.registry.name,
                 subject.registry.canary);
}

void ChainProver::reject(const Case& subject, const std::string& evidence) {
    proofs_.reject(subject.registry.name, subject.sha256, evidence);
    failing_.erase(subject.registry.name);
    putInPlace(subject, subject.before, subject.beforeName + " is in force: the change failed");
    spdlog::error("registry={} event=rolled-back canary={} msg={}", subject.registry.name,
                  subject.registry.canary, inQuotes(evidence));
}

bool ChainProver::wasRejected(const Case& subject) const {
    return proofs_.wasRejected(subject.registry.name, subject.sha256);
}

/// Proves a change until there is an answer: a containerd that is away gives none.
Task<void> ChainProver::proveCase(Case subject, unsigned generation) {
    while (true) {
        auto wait = waitUntilReady(generation);
        if (!co_await std::move(wait)) co_return;
        auto attempt = tryOnce(subject, generation);
        if (co_await std::move(attempt) || generation != generation_) co_return;
        // One that waits holds up no other.
        ++pausing_;
        startMore();
        asio::steady_timer pause(io_, wasRejected(subject) ? kAgainAtMost : kAgain);
        boost::system::error_code ignored;
        auto rest = pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(rest);
        if (generation != generation_) co_return;
        --pausing_;
    }
}

/// False where nothing could be proven. Ends early where the desired state has changed meanwhile.
Task<bool> ChainProver::tryOnce(const Case& subject, unsigned generation) {
    if (subject.proven) {
        std::string evidence;
        auto look = worthTrying(subject, &evidence);
        const bool worth = co_await std::move(look);
        if (generation != generation_) co_return true;
        if (!worth) {
            reject(subject, "it was not put in place: " + evidence);
            co_return true;
        }
    }
    putInPlace(subject, std::nullopt, "");
    auto first = trial_.pull(subject.registry, subject.text.text);
    const CanaryTrial::Answer fresh = co_await std::move(first);
    if (generation != generation_) co_return true;
    if (!fresh.conclusive) {
        // What was worse than the chain before is not left there to wait for an answer.
        if (subject.before && wasRejected(subject))
            putInPlace(subject, subject.before,
                       subject.beforeName + " is in force: the change failed");
        co_return false;
    }
    if (fresh.passed) {
        accept(subject);
        co_return true;
    }
    if (subject.before) {
        putInPlace(subject, subject.before,
                   subject.beforeName + " is tried, since the change failed");
        auto second = trial_.pull(subject.registry, subject.before->text);
        const CanaryTrial::Answer before = co_await std::move(second);
        if (generation != generation_) co_return true;
        if (before.passed) {
            reject(subject, fresh.evidence);
            co_return true;
        }
        if (wasRejected(subject)) {
            // It was worse than the chain before, and nothing says that it no longer is.
            if (before.conclusive) reject(subject, fresh.evidence);
            co_return before.conclusive;
        }
        putInPlace(subject, std::nullopt, "");
        if (!before.conclusive) co_return false;
    }
    fail(subject, fresh.evidence);
    co_return true;
}

/// Neither chain has the canary: the network may be away, and comes back without a word.
void ChainProver::fail(const Case& subject, const std::string& evidence) {
    Failing& failing = failing_[subject.registry.name];
    failing.evidence = evidence;
    failing.retryAt =
        std::chrono::steady_clock::now() +
        std::min<std::chrono::seconds>(kFirstRetry * (1 << std::min(failing.failures, 6)), kRetry);
    ++failing.failures;
    spdlog::warn("registry={} event=unproven canary={} msg={}", subject.registry.name,
                 subject.registry.canary, inQuotes(evidence));
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
    return out;
}

}  // namespace nodemirror
