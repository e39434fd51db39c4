#include "diagnose/chain_choice.hpp"

#include "base/text.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/upstream.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

const std::vector<std::string> kAll{"pull", "push", "resolve"};

/// The registry's own upstream alone.
Chain upstreamAlone(const std::string& registry, const ContainerdVersion& version) {
    Chain chain(1);
    fillDefaultHost(chain, registry, version);
    return chain;
}

/// registryEndpoints of CRI's image_pull.go: the registry's mirrors, or those of "*", and the
/// registry itself where it is not among them.
Chain legacyChain(const ContainerdConfig& config, const std::string& registry,
                  const ContainerdVersion& version) {
    const LegacyMirror* chosen = nullptr;
    for (const auto& mirror : config.mirrors)
        if (mirror.registry == registry) chosen = &mirror;
    for (const auto& mirror : config.mirrors)
        if (chosen == nullptr && mirror.registry == "*") chosen = &mirror;
    Chain chain;
    bool hasRegistry = false;
    for (const auto& endpoint :
         chosen != nullptr ? chosen->endpoints : std::vector<std::string>()) {
        const auto url = parseGoUrl(withDefaultScheme(endpoint), false);
        if (!url || url->host.empty()) continue;
        hasRegistry = hasRegistry || url->host == registry;
        ChainHost host;
        host.scheme = url->scheme;
        host.host = url->host;
        host.path = url->path.empty() ? "/v2" : url->path;
        host.capabilities = kAll;
        chain.push_back(std::move(host));
    }
    if (hasRegistry) return chain;
    for (auto& host : upstreamAlone(registry, version)) chain.push_back(std::move(host));
    return chain;
}

/// What the legacy `configs` tables say of hosts, mirrors or not (registryHosts of image_pull.go).
void addLegacyTls(const ContainerdConfig& config, Chain& chain) {
    for (auto& host : chain)
        for (const auto& legacy : config.hosts) {
            const auto isHost = [&](const auto& tls) { return tls.host == legacy.host; };
            if (legacy.host != host.host ||
                std::none_of(config.tlsHosts.begin(), config.tlsHosts.end(), isHost))
                continue;
            host.skipVerify = legacy.skipVerify;
            if (!legacy.ca.empty()) host.ca = {legacy.ca};
            if (!legacy.cert.empty()) host.client = {{legacy.cert, legacy.key}};
        }
}

ChainChoice withoutConfigPath(const NodeFacts& facts, const std::string& registry) {
    ChainChoice out;
    out.reading.registry = registry;
    const bool legacy = facts.node.config.isKnown() && !facts.node.config.value().mirrors.empty();
    out.why = legacy ? "config_path is not set: the legacy mirrors in config.toml are used, and "
                       "certs.d is not read"
                     : "config_path is not set: certs.d is not read, only upstream is asked";
    // CRI of 1.x makes its hosts itself (registryHosts in image_pull.go).
    const auto ownHosts = [&facts](Chain chain) {
        for (auto& host : chain) {
            if (!facts.version.localhostIsPlainWithoutConfigPath() || !host.skipVerify) continue;
            host.scheme = "http";
            host.skipVerify.reset();
        }
        return chain;
    };
    out.reading.hosts =
        legacy ? ownHosts(legacyChain(facts.node.config.value(), registry, facts.version))
               : ownHosts(upstreamAlone(registry, facts.version));
    if (facts.node.config.isKnown()) addLegacyTls(facts.node.config.value(), out.reading.hosts);
    return out;
}

std::string whyDirectory(const std::string& root, const ChainReading& reading) {
    if (reading.directory.empty())
        return root + " has no directory for it and no _default: only upstream is asked";
    if (reading.directory == "_default") return root + "/_default, since it has no directory";
    return root + "/" + reading.directory;
}

}  // namespace

ChainChoice chooseChain(const NodeFacts& facts, const std::string& registry) {
    const bool known = facts.configPath.source != EffectiveConfigPath::Source::Unknown;
    const std::string value = known ? facts.configPath.value : facts.certsDir;
    if (value.empty()) return withoutConfigPath(facts, registry);
    ChainChoice out;
    const bool splits = facts.node.config.isKnown()
                            ? facts.node.config.value().splitsConfigPath(facts.version)
                            : !facts.version.pullsByTransferService();
    if (!splits && value.find(':') != std::string::npos) {
        out.reading.registry = registry;
        out.reading.hosts = upstreamAlone(registry, facts.version);
        out.why = "config_path lists several directories (" + value + "), and containerd " +
                  facts.version.text() + " then reads none of them: only upstream is asked";
        return out;
    }
    for (const auto& root : split(value, ':')) {
        out.root = root;
        out.reading = readChain(root, registry, facts.version);
        if (!out.reading.directory.empty() || !out.reading.error.empty()) break;
    }
    out.why = whyDirectory(out.root, out.reading);
    if (!known) out.why += " (whether containerd reads it is not known)";
    return out;
}

}  // namespace nodemirror
