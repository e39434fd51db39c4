#include "mirrors/canary_trial.hpp"

#include "base/text.hpp"
#include "diagnose/pull_words.hpp"
#include "diagnose/resolution.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/upstream.hpp"
#include "plan/reason.hpp"
#include "reference/image_reference.hpp"
#include "trial/image_trial.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

using std::chrono::seconds;

/// A canary is a small image; a mirror that hangs must be found out before kubelet's users do.
constexpr seconds kPull{30};
constexpr size_t kLongestWords = 1000;  ///< of one host; whoever sits before it may choose them

/// What a status and a log may hold of others' words.
std::string evidenceOf(const std::string& text) {
    return shortened(withoutQueries(text), kLongestMessage);
}

}  // namespace

CanaryTrial::CanaryTrial(boost::asio::io_context& io, Containerd& containerd, std::string root)
    : io_(io), containerd_(containerd), root_(std::move(root)), resolver_(io) {}

void CanaryTrial::setContainerd(ContainerdVersion version, ProxySettings proxies,
                                std::set<std::string> withCredentials) {
    version_ = version;
    proxies_ = std::move(proxies);
    withCredentials_ = std::move(withCredentials);
}

Chain CanaryTrial::decoded(const std::string& text, const std::string& registry) const {
    Decoded decoded = decodeHostsToml(text, root_ + "/" + ownDirectoryName(registry), version_);
    if (!decoded.valid) return {};
    fillDefaultHost(decoded.hosts, registry, version_);
    return std::move(decoded.hosts);
}

Task<CanaryTrial::Hosts> CanaryTrial::askHosts(const Registry& registry, std::string text,
                                               Duration patience) {
    Hosts out;
    const auto reference = parseImageReference(registry.canary);
    if (!reference) co_return out;
    ChainReading chain;
    chain.registry = reference->host;
    chain.hosts = decoded(text, registry.name);
    if (chain.hosts.empty()) co_return out;
    TrialOptions options;
    options.version = version_;
    options.proxies = proxies_;
    options.patience.connect = options.patience.handshake = patience;
    options.patience.answer = options.patience.body = patience;
    options.patience.whole = kPull;
    options.pieces = false;
    options.contexts = contexts_;
    ImageTrial attempt(io_, resolver_, std::move(options));
    auto run = attempt.run(*reference, std::move(chain));
    const ImageFindings findings = co_await std::move(run);
    std::vector<std::string> words;
    size_t firstUnasked = findings.hosts.size();
    for (size_t i = 0; i < findings.hosts.size(); ++i) {
        const HostFinding& host = findings.hosts[i];
        const std::string kind = hostClass(host);
        const bool refused = kind == "unauthorized" || kind == "denied" || kind == "forbidden";
        if (untoldAnswer(host) != nullptr ||
            (refused && withCredentials_.count(host.host.host) > 0)) {
            ++out.unasked;
            if (host.resolves) firstUnasked = std::min(firstUnasked, i);
        }
        if (!decidingAnswer(host).ok() || !host.resolves || !host.invalidDigest.empty()) {
            words.push_back(shortened(describeHost(host), kLongestWords));
            continue;
        }
        if (out.having++ == 0) out.digest = host.digest;
        words.push_back(host.host.host + " has it");
    }
    out.evidence = evidenceOf(join(words, "; "));
    const Resolution resolution = resolveAmong(findings.hosts, *reference, version_);
    // What could not be asked before it ends may have it.
    const bool known =
        out.unasked == 0 || (resolution.ends && *resolution.failingAt < firstUnasked);
    if (reference->tag.empty() || resolution.winner || !known) co_return out;
    out.endless = resolution.endless;
    out.unresolved = resolution.error;
    co_return out;
}

Task<CanaryTrial::Hosts> CanaryTrial::askPatiently(const Registry& registry, std::string text) {
    auto ask = askHosts(registry, text);
    Hosts hosts = co_await std::move(ask);
    if (!hosts.endless) co_return hosts;
    // One that is slow is waited for by containerd as well.
    auto again = askHosts(registry, std::move(text), kPull);
    co_return co_await std::move(again);
}

Task<CanaryTrial::Answer> CanaryTrial::pull(const Registry& registry, std::string text) {
    Answer out;
    auto reference = parseImageReference(registry.canary);
    if (!reference) co_return out;
    auto ask = askPatiently(registry, std::move(text));
    const Hosts hosts = co_await std::move(ask);
    if (hosts.having > 0 && hosts.resolvesNowhere()) {
        out.evidence = evidenceOf(hosts.unresolved + " (" + hosts.evidence + ")");
        co_return out;
    }
    if (!hosts.digest.empty()) {
        reference->digest = hosts.digest;
        reference->tag.clear();
    }
    const std::string name = reference->text();
    auto remove = containerd_.removeAlone(name);
    const auto removed = co_await std::move(remove);
    if (!removed) {
        out.conclusive = false;
        out.evidence = shortened(removed.error().text(), kLongestMessage);
        co_return out;
    }
    auto pull = containerd_.pull(name, kPull);
    const auto pulled = co_await std::move(pull);
    out.passed = pulled.has_value();
    if (pulled) co_return out;
    out.evidence = evidenceOf(pulled.error().reason()) + " (" + hosts.evidence + ")";
    // containerd that is away, or has only just begun, proves nothing about a chain: what CRI of
    // 1.x says before it is initialized looks like any other failure.
    auto look = containerd_.criState();
    const auto cri = co_await std::move(look);
    out.conclusive = !pulled.error().unreachable() && cri && cri->ready;
    co_return out;
}

}  // namespace nodemirror
