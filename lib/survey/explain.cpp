#include "survey/explain.hpp"

#include "diagnose/pull_words.hpp"
#include "diagnose/resolution.hpp"

namespace nodemirror {

namespace {

/// How long the layers of a reference that could be had instead are looked at.
constexpr std::chrono::seconds kAlternative{20};

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
    return verdict.errorClass == "denied" || verdict.errorClass == "not-found";
}

/// The official image of that name on Docker Hub. Of any other name nothing is asked there: it may
/// be an internal one, and whoever likes may have taken it.
std::optional<ImageReference> officialImage(ImageReference reference) {
    if (reference.host == "docker.io") return std::nullopt;
    const std::string official = "library/";
    if (reference.repository.rfind(official, 0) != 0) reference.repository.insert(0, official);
    if (reference.repository.find('/', official.size()) != std::string::npos) return std::nullopt;
    reference.host = "docker.io";
    return reference;
}

/// Credentials in containerd's own configuration: they are not read here, and a host that wants
/// some may well let containerd in.
void judgeCredentials(const NodeFacts& facts, const ImageFindings& findings, PullVerdict& verdict) {
    if (verdict.works || (verdict.errorClass != "unauthorized" && verdict.errorClass != "denied"))
        return;
    if (!facts.node.config.isKnown()) return;
    for (const auto& legacy : facts.node.config.value().hosts)
        for (const auto& asked : findings.hosts) {
            const std::string kind = hostClass(asked);
            if (!legacy.hasAuth || legacy.host != asked.host.host ||
                (kind != "unauthorized" && kind != "denied"))
                continue;
            verdict.errorClass = "credentials";
            verdict.summary = "Whether the image can be pulled cannot be told: " + legacy.host +
                              " wants credentials, and containerd's configuration has some, which "
                              "are not read here.";
            verdict.remedies = {"crictl pull " + findings.reference.text() + " tells"};
            return;
        }
}

/// Whether another reference can be pulled on this node, by the chain of its own registry.
Task<bool> pullsHere(boost::asio::io_context& io, Resolver& resolver, const NodeFacts& facts,
                     ImageReference reference, TrialOptions options) {
    options.full = false;
    options.layersFor = kAlternative;
    ChainChoice choice = chooseChain(facts, reference.host);
    ImageTrial trial(io, resolver, std::move(options));
    auto run = trial.run(std::move(reference), std::move(choice.reading));
    const ImageFindings findings = co_await std::move(run);
    co_return judgePull(findings, facts.version).works;
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
    judgeCredentials(facts, out.findings, out.verdict);
    const bool had = out.verdict.works;
    if (!had && out.choice.root.empty())
        out.verdict.remedies.insert(out.verdict.remedies.begin(),
                                    "set config_path, so that the mirrors of certs.d are asked: "
                                    "nodemirrorctl doctor tells where");
    judgeRuntime(facts.node, facts.containerdUnit, out.verdict);
    const bool nothingPulls =
        out.verdict.errorClass == "cri" || out.verdict.errorClass == "containerd";
    if (had || nothingPulls) co_return out;
    std::vector<ImageReference> candidates;
    if (auto official = officialImage(reference); official && lacksRepository(out.verdict))
        candidates.push_back(std::move(*official));
    for (auto& direct : directReferences(out.findings)) candidates.push_back(std::move(direct));
    for (const auto& candidate : candidates) {
        if (candidate.text() == reference.text()) continue;
        auto ask = pullsHere(io, resolver, facts, candidate, trialOf);
        if (co_await std::move(ask)) out.alternatives.push_back(candidate.text());
    }
    co_return out;
}

}  // namespace nodemirror
