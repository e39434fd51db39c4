#include "base/text.hpp"
#include "diagnose/checks.hpp"
#include "diagnose/pull_words.hpp"
#include "health/host_health.hpp"
#include "hosts_toml/upstream.hpp"

#include <cstdlib>
#include <ctime>
#include <map>
#include <set>

namespace nodemirror::checks {

namespace {

using Severity = Finding::Severity;

std::string fileOf(const NodeFacts& facts, const ChainReading& reading) {
    return facts.certsDir + "/" + reading.directory + "/hosts.toml";
}

Severity severityOf(const std::string& code) {
    if (code == "host-leads-nowhere" || code == "no-resolver" || code == "docker-io-server" ||
        code == "inline-hosts")
        return Severity::Critical;
    return code == "dial-timeout-ignored" || code == "tried-twice" ? Severity::Note
                                                                   : Severity::Warning;
}

std::string remedyOf(const std::string& code) {
    if (code == "unknown-key") return "correct the key";
    if (code == "tls-on-http")
        return "take ca, client and skip_verify out of the entry, or write https://";
    if (code == "host-leads-nowhere" || code == "host-without-scheme")
        return "write the whole URL, with http:// or https://";
    if (code == "docker-io-server") return "write server = \"https://registry-1.docker.io\"";
    if (code == "no-resolver") return "give one host capabilities = [\"pull\", \"resolve\"]";
    if (code == "inline-hosts") return "write each host as a table of its own: [host.\"URL\"]";
    return "declare the registry in nodemirrord's desired state: it writes the file rightly";
}

/// A Date header (RFC 9110, 5.6.7) as seconds since the epoch; nothing when it is none.
std::optional<std::time_t> dateOf(const Exchange& exchange) {
    const auto header = exchange.headers.find("date");
    if (header == exchange.headers.end()) return std::nullopt;
    std::tm parts{};
    if (::strptime(header->second.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts) == nullptr)
        return std::nullopt;
    return ::timegm(&parts);
}

/// The hosts that only a proxy leads to which cannot be gone through from here.
void unknownProxies(const NodeFacts& facts, Findings& findings) {
    std::set<std::string> behind;
    std::string why;
    for (const auto& reading : facts.registries)
        for (const auto& host : reading.hosts) {
            const auto answer = facts.answers.find(probeKey(host));
            if (answer == facts.answers.end() || answer->second.fault != Fault::ProxyUnknown)
                continue;
            behind.insert(host.host);
            why = answer->second.last().error;
        }
    if (behind.empty()) return;
    add(findings, Severity::Note, "proxy-unknown", facts.containerdUnit,
        "whether " + join({behind.begin(), behind.end()}, ", ") +
            " can be reached is not known: containerd goes there through a proxy, and " + why,
        "crictl pull tells; mirrors that need no proxy belong into NO_PROXY");
}

}  // namespace

void registryFiles(const NodeFacts& facts, Findings& findings) {
    for (const auto& reading : facts.registries) {
        if (!reading.error.empty())
            add(findings, reading.unreadable ? Severity::Warning : Severity::Critical,
                "registry-broken", reading.registry, reading.consequence(),
                "mend what is named; no restart is needed");
        if (!reading.others.empty())
            add(findings, Severity::Warning, "others-write", fileOf(facts, reading),
                reading.others + ": they decide where pulls of " + reading.registry +
                    " go, and with which keys and headers; its hosts are not asked from here",
                reading.othersOnTheWay
                    ? "make it a file of root's, in a directory of root's, instead of a link"
                    : "chown -R root:root " + facts.certsDir + "/" + reading.directory +
                          " && chmod -R go-w " + facts.certsDir + "/" + reading.directory);
        if (!reading.ignored.empty())
            add(findings, Severity::Critical, "hosts-file-dropped", fileOf(facts, reading),
                reading.ignored +
                    "; containerd drops the file without a word to the caller and "
                    "asks upstream",
                "nodemirrorctl inspect --containerd " + facts.version.text() + " " +
                    facts.certsDir + " " + reading.registry +
                    " shows what is used instead; correct the file");
        for (const auto& warning : reading.warnings)
            add(findings, severityOf(warning.code), warning.code, fileOf(facts, reading),
                warning.text, remedyOf(warning.code));
    }
}

void treeUnreadable(const NodeFacts& facts, Findings& findings) {
    if (!facts.registriesUnknown.empty())
        add(findings, Severity::Warning, "certs-dir-unreadable", facts.certsDir,
            facts.registriesUnknown + ": what containerd reads there is not judged",
            "run as root; or look at what the directory is: ls -ld " + facts.certsDir);
}

void maskedDefault(const NodeFacts& facts, Findings& findings) {
    bool hasDefault = false;
    for (const auto& reading : facts.registries)
        hasDefault = hasDefault || reading.registry == "_default";
    for (const auto& name : facts.emptyDirectories)
        if (hasDefault)
            add(findings, Severity::Critical, "empty-directory", facts.certsDir + "/" + name,
                "the directory is empty and hides _default: pulls from " + name +
                    " go to upstream alone",
                "rmdir " + facts.certsDir + "/" + name);
}

namespace {

/// A host of a chain that does not answer as a registry.
struct DownHost {
    const ChainHost* host = nullptr;
    bool hangs = false;
    bool upstream = false;  ///< the registry's own, not a mirror
    std::string words;
};

/// The hosts of a registry that were asked and are down; `probed` counts all that were asked.
std::vector<DownHost> downHosts(const NodeFacts& facts, const ChainReading& reading,
                                size_t* probed) {
    std::vector<DownHost> out;
    for (const auto& host : reading.hosts) {
        const auto answer = facts.answers.find(probeKey(host));
        if (answer == facts.answers.end()) continue;
        ++*probed;
        const ProbeOutcome outcome = judgeProbe(answer->second.last(), host.path);
        if (outcome.good || outcome.unknown) continue;
        // Told once for the proxy; of the host itself nothing is known.
        if (answer->second.fault == Fault::Proxy) continue;
        DownHost down;
        down.host = &host;
        down.hangs = answer->second.fault == Fault::Hang;
        down.upstream = isUpstream(host, reading.registry);
        down.words = answer->second.fault != Fault::None || answer->second.status >= 400
                         ? describeAnswer(answer->second, ApiError(), host.host)
                         : host.host + " " + outcome.error;
        out.push_back(std::move(down));
    }
    return out;
}

}  // namespace

void hostsReachable(const NodeFacts& facts, Findings& findings) {
    for (const auto& reading : facts.registries) {
        size_t probed = 0;
        const auto down = downHosts(facts, reading, &probed);
        std::vector<std::string> words;
        for (const auto& host : down) words.push_back(host.words);
        const bool all = probed > 0 && down.size() == probed;
        if (all)
            add(findings, Severity::Critical, "no-host-answers", reading.registry,
                "no host of " + reading.registry + " answers as a registry: " + join(words, "; "),
                "add a mirror that this node can reach");
        for (const auto& host : down) {
            if (host.hangs)
                add(findings, Severity::Critical, "mirror-hangs", host.host->url(),
                    host.words + "; containerd waits for it without an end, and asks no other",
                    "take it out of the chain of " + reading.registry +
                        ", or set health: {order: health}");
            else if (host.upstream && all)
                continue;  // told above; nobody on the node can mend it
            else if (host.upstream)
                // What mirrors are there for.
                add(findings, Severity::Note, "upstream-down", host.host->url(), host.words,
                    "nothing, as long as the mirrors have what is needed; fallback: none spares "
                    "the attempts");
            else
                add(findings, Severity::Warning, "mirror-down", host.host->url(), host.words,
                    "mend it, or take it out of the chain of " + reading.registry);
        }
    }
}

/// One finding a proxy, however many hosts are behind it.
void proxies(const NodeFacts& facts, Findings& findings) {
    if (!facts.proxies.isKnown() || !facts.proxies.value().any()) return;
    unknownProxies(facts, findings);
    std::map<std::string, std::pair<std::set<std::string>, std::string>> failing;
    for (const auto& reading : facts.registries)
        for (const auto& host : reading.hosts) {
            const auto answer = facts.answers.find(probeKey(host));
            if (answer == facts.answers.end() || answer->second.last().proxy.empty()) continue;
            if (judgeProbe(answer->second.last(), host.path).good) continue;
            // In a tunnel the proxy says nothing: a status is the mirror's own.
            if (answer->second.status > 0 && answer->second.last().url.starts_with("https://"))
                continue;
            auto& [hosts, error] = failing[answer->second.last().proxy];
            hosts.insert(host.host);
            error = answer->second.status > 0 ? "status " + std::to_string(answer->second.status)
                                              : answer->second.last().error;
        }
    for (const auto& [proxy, entry] : failing) {
        const std::vector<std::string> hosts(entry.first.begin(), entry.first.end());
        add(findings, Severity::Critical, "proxy-in-the-way", proxy,
            "the unit " + facts.containerdUnit + " sends requests for " + join(hosts, ", ") +
                " through the proxy " + proxy + ", which fails: " + entry.second,
            "mend the proxy; or add the hosts that need none to NO_PROXY in a drop-in of " +
                facts.containerdUnit + ", then systemctl daemon-reload and restart it");
    }
}

void clockSkew(const NodeFacts& facts, Findings& findings) {
    constexpr std::time_t kNoticed = 120;
    const std::time_t now = std::chrono::system_clock::to_time_t(facts.now);
    for (const auto& [key, answer] : facts.answers) {
        const auto date = dateOf(answer.last());
        if (!date) continue;
        const std::time_t skew = now - *date;
        if (std::labs(skew) < kNoticed) continue;
        add(findings, Severity::Critical, "clock-skew", answer.last().url,
            "this node's clock is " + std::to_string(std::labs(skew)) + " s " +
                (skew > 0 ? "ahead of" : "behind") +
                " that server's: certificates and tokens may count as expired",
            "timedatectl; start a time service (chrony, systemd-timesyncd)");
        return;  // one server is enough to tell
    }
}

}  // namespace nodemirror::checks
