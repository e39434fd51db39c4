#include "survey/explain.hpp"

#include "diagnose/pull_words.hpp"

namespace nodemirror {

namespace {

TrialOptions trialOptions(const NodeFacts& facts, const ExplainOptions& options) {
    TrialOptions out;
    out.version = facts.version;
    if (facts.proxies.isKnown()) out.proxies = facts.proxies.value();
    out.patience = options.patience;
    out.platform = options.platform;
    out.full = options.full;
    return out;
}

bool lacksRepository(const PullVerdict& verdict) {
    return verdict.errorClass == "denied" || verdict.errorClass == "not-found" ||
           verdict.errorClass == "unauthorized";
}

/// The same repository by way of Docker Hub's chain on this node; "" where that does not work.
Task<std::string> onDockerHub(boost::asio::io_context& io, Resolver& resolver,
                              const NodeFacts& facts, ImageReference reference,
                              TrialOptions options) {
    reference.host = "docker.io";
    if (reference.repository.find('/') == std::string::npos)
        reference.repository = "library/" + reference.repository;
    options.pieces = false;
    ChainChoice choice = chooseChain(facts, reference.host);
    ImageTrial trial(io, resolver, std::move(options));
    auto run = trial.run(reference, std::move(choice.reading));
    const ImageFindings findings = co_await std::move(run);
    co_return findings.winner ? reference.text() : std::string();
}

}  // namespace

Task<Explanation> explainImage(boost::asio::io_context& io, Resolver& resolver,
                               const NodeFacts& facts, ImageReference reference,
                               ExplainOptions options) {
    Explanation out;
    out.choice = chooseChain(facts, reference.host);
    TrialOptions trialOf = trialOptions(facts, options);
    ImageTrial trial(io, resolver, trialOf);
    auto run = trial.run(reference, out.choice.reading);
    out.findings = co_await std::move(run);
    out.verdict = judgePull(out.findings, facts.version);
    if (out.verdict.works) co_return out;
    out.alternatives = directReferences(out.findings);
    if (reference.host != "docker.io" && lacksRepository(out.verdict)) {
        auto hub = onDockerHub(io, resolver, facts, reference, trialOf);
        std::string found = co_await std::move(hub);
        if (!found.empty()) out.alternatives.insert(out.alternatives.begin(), std::move(found));
    }
    co_return out;
}

}  // namespace nodemirror
