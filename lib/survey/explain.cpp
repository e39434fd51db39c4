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

/// The same repository on Docker Hub.
ImageReference onDockerHub(ImageReference reference) {
    reference.host = "docker.io";
    if (reference.repository.find('/') == std::string::npos)
        reference.repository = "library/" + reference.repository;
    return reference;
}

/// Whether another reference resolves on this node, by the chain of its own registry.
Task<bool> resolvesHere(boost::asio::io_context& io, Resolver& resolver, const NodeFacts& facts,
                        ImageReference reference, TrialOptions options) {
    options.pieces = false;
    ChainChoice choice = chooseChain(facts, reference.host);
    ImageTrial trial(io, resolver, std::move(options));
    auto run = trial.run(std::move(reference), std::move(choice.reading));
    const ImageFindings findings = co_await std::move(run);
    co_return findings.winner.has_value();
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
    const bool had = out.verdict.works;
    if (!had && out.choice.root.empty())
        out.verdict.remedies.insert(out.verdict.remedies.begin(),
                                    "set config_path, so that the mirrors of certs.d are asked: "
                                    "nodemirrorctl doctor tells where");
    judgeRuntime(facts.node, facts.containerdUnit, out.verdict);
    if (had) co_return out;
    std::vector<ImageReference> candidates;
    if (reference.host != "docker.io" && lacksRepository(out.verdict))
        candidates.push_back(onDockerHub(reference));
    for (auto& direct : directReferences(out.findings)) candidates.push_back(std::move(direct));
    for (const auto& candidate : candidates) {
        if (candidate.text() == reference.text()) continue;
        auto ask = resolvesHere(io, resolver, facts, candidate, trialOf);
        if (co_await std::move(ask)) out.alternatives.push_back(candidate.text());
    }
    co_return out;
}

}  // namespace nodemirror
