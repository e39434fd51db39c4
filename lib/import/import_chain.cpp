#include "base/text.hpp"
#include "desired/url.hpp"
#include "hosts_toml/upstream.hpp"
#include "import/imported.hpp"

#include <algorithm>
#include <regex>
#include <set>

namespace nodemirror {

namespace {

/// Splits a chain host's path into what a mirror's entry says: url path, prefix, overridePath.
void placePath(const std::string& path, Mirror& out) {
    constexpr size_t kLongest = 1000;  // std::regex recurses with the length of a text
    static const std::regex prefix("/v2/([a-z0-9._-]+(/[a-z0-9._-]+)*)");
    std::smatch match;
    if (endsInApiRoot(path)) {
        out.url.path = path.substr(0, path.size() - 3);
    } else if (path.size() <= kLongest && std::regex_match(path, match, prefix)) {
        out.repositoryPrefix = match[1];
    } else {
        out.url.path = path;
        out.overridePath = true;
    }
}

/// Every value may be a secret but those of headers that are known to hold none: under what name a
/// product takes its key (X-JFrog-Art-Api, X-JWT) nobody can list.
bool mayBeSecret(const std::string& header) {
    static const std::set<std::string> harmless{
        "accept",    "accept-encoding", "accept-language", "cache-control", "pragma", "user-agent",
        "x-cluster", "x-environment",   "x-region",        "x-tenant",      "x-zone"};
    return harmless.count(lower(header)) == 0;
}

void importHeaders(const ChainHost& host, ImportedMirror& out) {
    for (const auto& [name, values] : host.header) {
        if (mayBeSecret(name)) {
            out.secretHeaders.push_back(name);
            continue;
        }
        for (const auto& value : values) out.mirror.headers[name].emplace_back(value);
    }
}

void importTls(const ChainHost& host, ImportedMirror& out) {
    const bool any = !host.ca.empty() || !host.client.empty() || host.skipVerify.value_or(false);
    if (host.scheme == "http") {
        if (any)
            out.notes.push_back(
                "ca, client and skip_verify are left out: they do not go with an http:// URL "
                "(containerd 1.7 and later would try https first)");
        return;
    }
    out.mirror.skipVerify = host.skipVerify.value_or(false);
    out.mirror.ca = host.ca;
    if (host.client.empty()) return;
    const auto& pair = host.client.front();
    out.mirror.client = ClientPair{pair[0], pair.size() > 1 ? pair[1] : pair[0]};
    if (host.client.size() > 1)
        out.notes.push_back("only the first of " + std::to_string(host.client.size()) +
                            " client certificates is carried over: an entry has one");
}

/// Nothing where the host cannot be a mirror; `why` then says so.
std::optional<ImportedMirror> importHost(const ChainHost& host, std::string& why) {
    ImportedMirror out;
    auto url = parseUrl(host.scheme + "://" + host.host);
    if (!url) {
        why = inQuotes(host.url()) + " is left out: " + url.error().reason();
        return std::nullopt;
    }
    out.mirror.url = std::move(*url);
    placePath(host.path, out.mirror);
    out.mirror.capabilities.clear();
    for (const auto& capability : host.capabilities) {
        if (capability == "referrers")
            out.notes.emplace_back(
                "the capability referrers is left out: it makes containerd "
                "before 2.2 drop the whole file");
        else
            out.mirror.capabilities.push_back(capability);
    }
    importTls(host, out);
    importHeaders(host, out);
    out.mirror.dialTimeout = host.dialTimeout;
    return out;
}

bool isPlain(const ChainHost& host) {
    return host.header.empty() && host.ca.empty() && host.client.empty() && !host.skipVerify &&
           host.dialTimeout.empty() && host.capabilities.size() >= 3;
}

/// The last host: the registry's own upstream, a server of its own, or one that needs an entry.
void importLast(const ChainHost& last, const ContainerdVersion& version, ImportedRegistry& out) {
    Chain upstream(1);
    fillDefaultHost(upstream, out.name, version);
    if (last == upstream.front()) return;
    if (isPlain(last) && endsInApiRoot(last.path)) {
        if (auto url = parseUrl(last.scheme + "://" + last.host +
                                last.path.substr(0, last.path.size() - 3))) {
            out.server = std::move(*url);
            return;
        }
    }
    // A mirror that stands last with fallback: none is written as the server, with all its keys.
    std::string why;
    if (auto mirror = importHost(last, why)) {
        out.fallback = Fallback::None;
        out.mirrors.push_back(std::move(*mirror));
    } else {
        out.notes.push_back(why);
    }
}

}  // namespace

ImportedRegistry importReading(const ChainReading& reading, const std::string& root,
                               const ContainerdVersion& version) {
    ImportedRegistry out;
    out.name = reading.registry;
    const std::string from = root + "/" + reading.directory;
    out.notes.push_back("from " + from);
    if (!reading.error.empty()) out.notes.push_back("left out: " + reading.consequence());
    if (!reading.ignored.empty())
        out.notes.push_back("containerd drops its hosts.toml, and so it is not carried over (" +
                            reading.ignored + ")");
    if (reading.hosts.empty()) return out;
    for (size_t i = 0; i + 1 < reading.hosts.size(); ++i) {
        std::string why;
        auto mirror = importHost(reading.hosts[i], why);
        if (!mirror) {
            out.notes.push_back(why);
            continue;
        }
        const bool twice =
            std::any_of(out.mirrors.begin(), out.mirrors.end(), [&](const ImportedMirror& other) {
                return other.mirror.url == mirror->mirror.url &&
                       other.mirror.repositoryPrefix == mirror->mirror.repositoryPrefix;
            });
        if (twice)
            out.notes.push_back(reading.hosts[i].url() + " stood there twice: kept once");
        else
            out.mirrors.push_back(std::move(*mirror));
    }
    importLast(reading.hosts.back(), version, out);
    return out;
}

}  // namespace nodemirror
