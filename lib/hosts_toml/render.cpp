#include "hosts_toml/render.hpp"

#include "base/text.hpp"
#include "containerd_config/version.hpp"
#include "desired/url.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/upstream.hpp"

namespace nodemirror {

namespace {

constexpr char kNote[] =
    "# Written by nodemirrord from its desired state. Changes made here are undone; change the\n"
    "# desired state instead (nodemirrorctl status names the file).\n";

std::string tomlList(const std::vector<std::string>& items) {
    std::string out = "[";
    for (const auto& item : items) {
        if (&item != &items.front()) out += ", ";
        out += quotedScalar(item);
    }
    return out + "]";
}

std::string keys(const Mirror& mirror, const std::string& indent) {
    std::string out = indent + "capabilities = " + tomlList(mirror.capabilities) + "\n";
    const bool overridePath = mirror.overridePath || !mirror.repositoryPrefix.empty();
    if (overridePath) out += indent + "override_path = true\n";
    if (!mirror.ca.empty()) out += indent + "ca = " + tomlList(mirror.ca) + "\n";
    if (mirror.client)
        out += indent + "client = [" + tomlList({mirror.client->cert, mirror.client->key}) + "]\n";
    if (mirror.skipVerify) out += indent + "skip_verify = true\n";
    if (!mirror.dialTimeout.empty())
        out += indent + "dial_timeout = " + quotedScalar(mirror.dialTimeout) + "\n";
    return out;
}

std::string headerTable(const Mirror& mirror, const std::string& table, const std::string& indent,
                        bool redacted) {
    if (mirror.headers.empty()) return "";
    std::string out = indent + "[" + table + "]\n";
    for (const auto& [name, values] : mirror.headers) {
        std::vector<std::string> shown;
        for (const auto& value : values) shown.push_back(redacted ? "<redacted>" : value.reveal());
        out += indent + "  " + quotedScalar(name) + " = " + tomlList(shown) + "\n";
    }
    return out;
}

std::string renderText(const Registry& registry, bool redacted) {
    std::string out = kNote;
    auto mirrors = registry.mirrors;
    if (registry.fallback == Fallback::None && !mirrors.empty()) {
        const Mirror last = mirrors.back();
        mirrors.pop_back();
        out += "server = " + quotedScalar(hostUrl(last)) + "\n" + keys(last, "");
        out += headerTable(last, "header", "", redacted);
    } else if (registry.server) {
        out += "server = " + quotedScalar(registry.server->text()) + "\n";
    }
    for (const auto& mirror : mirrors) {
        const std::string table = "host." + quotedScalar(hostUrl(mirror));
        out += "\n[" + table + "]\n" + keys(mirror, "  ");
        out += headerTable(mirror, table + ".header", "  ", redacted);
    }
    if (mirrors.empty()) out += "\n[host]\n";
    return out;
}

ChainHost chainHost(const Mirror& mirror) {
    ChainHost host;
    host.scheme = mirror.url.scheme;
    host.host = mirror.url.host;
    host.path = apiPath(mirror);
    host.capabilities = mirror.capabilities;
    for (const auto& [name, values] : mirror.headers)
        for (const auto& value : values) host.header[name].push_back(value.reveal());
    if (mirror.skipVerify) host.skipVerify = true;
    host.ca = mirror.ca;
    if (mirror.client) host.client = {{mirror.client->cert, mirror.client->key}};
    if (!mirror.dialTimeout.empty())
        if (const auto duration = parseGoDuration(mirror.dialTimeout))
            host.dialTimeout = formatGoDuration(*duration);
    return host;
}

Mirror mirrorOf(const ChainHost& host) {
    Mirror mirror;
    mirror.url = {host.scheme, host.host, host.path};
    if (endsInApiRoot(host.path))
        mirror.url.path.resize(host.path.size() - apiPath(Mirror()).size());
    else
        mirror.overridePath = true;
    mirror.capabilities = host.capabilities;
    for (const auto& [name, values] : host.header)
        for (const auto& value : values) mirror.headers[name].emplace_back(value);
    mirror.skipVerify = host.skipVerify.value_or(false);
    mirror.ca = host.ca;
    if (!host.client.empty() && host.client.front().size() == 2)
        mirror.client = ClientPair{host.client.front()[0], host.client.front()[1]};
    mirror.dialTimeout = host.dialTimeout;
    return mirror;
}

/// The image's own host stands in for _default when the chain is checked.
std::string sampleRegistry(const Registry& registry) {
    return registry.name == "_default" ? "registry.invalid" : registry.name;
}

}  // namespace

Chain intendedChain(const Registry& registry) {
    Chain chain;
    for (const auto& mirror : registry.mirrors) chain.push_back(chainHost(mirror));
    if (registry.fallback == Fallback::None) return chain;
    ChainHost last;
    if (registry.server) {
        Mirror server;
        server.url = *registry.server;
        server.capabilities = {"pull", "push", "resolve"};
        last = chainHost(server);
    }
    chain.push_back(std::move(last));
    return chain;
}

std::optional<Registry> registryOfChain(Chain chain, const std::string& name) {
    Registry out;
    out.name = name;
    for (auto& host : chain) {
        // All of them, as 2.2 names them where a text says nothing; 1.6 drops a file with the word.
        if (host.capabilities.size() == 4) std::erase(host.capabilities, "referrers");
        out.mirrors.push_back(mirrorOf(host));
    }
    const auto means = [&chain](const Registry& registry) {
        Chain intended = intendedChain(registry);
        for (Chain* each : {&intended, &chain})
            fillDefaultHost(*each, sampleRegistry(registry), kAssumedVersion);
        return intended == chain;
    };
    if (chain.empty() || chain.back().host.empty()) {
        if (!out.mirrors.empty()) out.mirrors.pop_back();
    } else {
        // A server with nothing of its own is the registry's, not a mirror that stands last.
        Registry served = out;
        served.server = served.mirrors.back().url;
        served.mirrors.pop_back();
        if (means(served)) return served;
        // With keys of its own the registry itself is no mirror, which an order may put first.
        if (leadsUpstream(chain.back(), name)) return std::nullopt;
        out.fallback = Fallback::None;
    }
    return means(out) ? std::optional(std::move(out)) : std::nullopt;
}

RenderedHosts renderedText(std::string text, bool secret) {
    RenderedHosts out;
    out.redacted = redactHostsToml(text);
    out.text = std::move(text);
    out.secret = secret;
    return out;
}

RenderedHosts upstreamOnly() {
    // 1.x drops a file without a host table.
    return renderedText(std::string(kNote) + "\n[host]\n", false);
}

Result<RenderedHosts> renderHosts(const Registry& registry) {
    RenderedHosts out;
    out.text = renderText(registry, false);
    for (const auto& mirror : registry.mirrors)
        if (!mirror.headers.empty()) out.secret = true;
    out.redacted = out.secret ? renderText(registry, true) : out.text;

    const Chain wanted = intendedChain(registry);
    for (const auto& version : kTestedContainerds) {
        Chain intended = wanted;
        if (!version.knowsDialTimeout())
            for (auto& host : intended) host.dialTimeout.clear();
        fillDefaultHost(intended, sampleRegistry(registry), version);
        Decoded decoded = decodeHostsToml(out.text, "/", version);
        if (decoded.valid) fillDefaultHost(decoded.hosts, sampleRegistry(registry), version);
        if (decoded.valid && decoded.hosts == intended) continue;
        return Error("render hosts.toml for", registry.name,
                     "containerd " + version.text() + " would not read the intended hosts from it" +
                         (decoded.valid ? "" : ": " + decoded.error),
                     "simplify the registry's mirrors and report this");
    }
    return out;
}

}  // namespace nodemirror
