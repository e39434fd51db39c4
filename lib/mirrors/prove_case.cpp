/// How one changed chain is proven.
#include "base/text.hpp"
#include "mirrors/chain_prover.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace nodemirror {

namespace asio = boost::asio;
using std::chrono::seconds;

namespace {

constexpr seconds kAgain{5};
constexpr seconds kLastAgain{160};
constexpr seconds kAgainAtMost{600};  ///< for a change that was worse than what is there
constexpr seconds kFirstRetry{60};
constexpr seconds kLastRetry{3600};

}  // namespace

Task<bool> ChainProver::waitUntilReady(const Case& subject, unsigned generation) {
    while (generation == generation_ && !hooks_.ready()) {
        noteWaiting(subject, "CRI is not ready, or does not read certs.d");
        boost::system::error_code ignored;
        auto wait = readiness_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
    }
    co_return generation == generation_;
}

/// Whether a change is to be put in place at all: not when it cannot give the canary, for none of
/// its hosts has it or containerd comes to one that ends or holds up every pull, and the chain
/// before it can. A pull that is begun on such a one never ends.
Task<bool> ChainProver::worthTrying(const Case& subject, std::string* evidence) {
    const std::string name = subject.registry.name;
    const auto text = registries_.intents().asOrdered(name);
    auto ask = trial_.askPatiently(subject.registry, text.value_or(subject.text.text));
    const CanaryTrial::Hosts hosts = co_await std::move(ask);
    *evidence = hosts.evidence;
    if (!hosts.resolvesNowhere() && (hosts.having > 0 || hosts.unasked > 0)) co_return true;
    // What fails in one order may pass in the one that health has given it since.
    if (hosts.endless && text != registries_.intents().asOrdered(name)) co_return true;
    if (hosts.resolvesNowhere()) *evidence = hosts.unresolved + " (" + hosts.evidence + ")";
    const auto inForce = registries_.intents().standInText(name);
    auto askBefore = trial_.askPatiently(subject.registry, inForce.value_or(subject.before->text));
    const CanaryTrial::Hosts before = co_await std::move(askBefore);
    co_return before.having == 0 || before.resolvesNowhere();
}

ChainProver::Waiting& ChainProver::noteWaiting(const Case& subject, const std::string& why) {
    Waiting& waiting = waiting_[subject.registry.name];
    if (waiting.since == SteadyTime()) waiting.since = std::chrono::steady_clock::now();
    if (std::exchange(waiting.why, why) != why)
        spdlog::warn("registry={} event=unproven canary={} msg={}", subject.registry.name,
                     subject.registry.canary, inQuotes(why));
    return waiting;
}

/// Nothing could be proven: it is tried again by and by.
void ChainProver::postpone(const Case& subject, const std::string& why) {
    Waiting& waiting = noteWaiting(subject, why);
    const Duration pause =
        wasRejected(subject) ? kAgainAtMost : backoff(kAgain, waiting.tries, kLastAgain);
    waiting.retryAt = std::chrono::steady_clock::now() + pause;
    ++waiting.tries;
}

/// A pull tells of a chain only while that is what containerd finds: a file that is contested, or
/// could not be written, is another one.
/// `through`: the text that it went through.
Task<CanaryTrial::Answer> ChainProver::pullThrough(const Case& subject, RenderedHosts* through) {
    CanaryTrial::Answer absent;
    absent.conclusive = false;
    absent.evidence = "its hosts.toml is another one than is to be tried";
    const auto text = registries_.textInPlace(subject.registry.name);
    if (!text) co_return absent;
    *through = *text;
    auto pull = trial_.pull(subject.registry, text->text);
    CanaryTrial::Answer answer = co_await std::move(pull);
    const auto after = registries_.textInPlace(subject.registry.name);
    // What failed in one order may pass in the one that health has given it since.
    if (!after || (!answer.passed && after->text != text->text)) co_return absent;
    co_return answer;
}

void ChainProver::putInPlace(const Case& subject, std::optional<RenderedHosts> standIn,
                             const std::string& why) {
    const std::string& name = subject.registry.name;
    (void)registries_.intents().setStandIn(name, std::move(standIn), why);
    hooks_.reconcile(name);
}

void ChainProver::accept(const Case& subject, const RenderedHosts& text) {
    proofs_.accept(subject.registry.name, subject.sha256, text);
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

Task<void> ChainProver::proveCase(Case subject, unsigned generation) {
    auto wait = waitUntilReady(subject, generation);
    if (!co_await std::move(wait)) co_return;
    auto attempt = tryOnce(subject, generation);
    const auto untold = co_await std::move(attempt);
    if (generation != generation_) co_return;
    if (untold)
        postpone(subject, *untold);
    else
        waiting_.erase(subject.registry.name);
}

/// Why nothing could be proven, if so. Ends early where the desired state has changed meanwhile.
Task<std::optional<std::string>> ChainProver::tryOnce(const Case& subject, unsigned generation) {
    if (subject.proven) {
        std::string evidence;
        auto look = worthTrying(subject, &evidence);
        const bool worth = co_await std::move(look);
        if (generation != generation_) co_return std::nullopt;
        if (!worth) {
            reject(subject, "it was not put in place: " + evidence);
            co_return std::nullopt;
        }
    }
    putInPlace(subject, std::nullopt, "");
    RenderedHosts through;
    auto first = pullThrough(subject, &through);
    const CanaryTrial::Answer fresh = co_await std::move(first);
    if (generation != generation_) co_return std::nullopt;
    if (!fresh.conclusive) {
        // What was worse than the chain before is not left there to wait for an answer.
        if (subject.before && wasRejected(subject))
            putInPlace(subject, subject.before,
                       subject.beforeName + " is in force: the change failed");
        co_return fresh.evidence;
    }
    if (fresh.passed) {
        accept(subject, through);
        co_return std::nullopt;
    }
    if (subject.before) {
        putInPlace(subject, subject.before,
                   subject.beforeName + " is tried, since the change failed");
        auto second = pullThrough(subject, &through);
        const CanaryTrial::Answer before = co_await std::move(second);
        if (generation != generation_) co_return std::nullopt;
        if (before.passed) {
            reject(subject, fresh.evidence);
            co_return std::nullopt;
        }
        if (wasRejected(subject)) {
            // It was worse than the chain before, and nothing says that it no longer is.
            if (!before.conclusive) co_return before.evidence;
            reject(subject, fresh.evidence);
            co_return std::nullopt;
        }
        putInPlace(subject, std::nullopt, "");
        if (!before.conclusive) co_return before.evidence;
    }
    fail(subject, fresh.evidence);
    co_return std::nullopt;
}

/// Neither chain has the canary: the network may be away, and comes back without a word.
void ChainProver::fail(const Case& subject, const std::string& evidence) {
    Failing& failing = failing_[subject.registry.name];
    failing.evidence = evidence;
    failing.retryAt =
        std::chrono::steady_clock::now() + backoff(kFirstRetry, failing.failures, kLastRetry);
    ++failing.failures;
    spdlog::warn("registry={} event=unproven canary={} msg={}", subject.registry.name,
                 subject.registry.canary, inQuotes(evidence));
}

}  // namespace nodemirror
