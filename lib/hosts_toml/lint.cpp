#include "hosts_toml/lint.hpp"

#include "base/text.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/upstream.hpp"
#include "toml/read_v2.hpp"

#include <algorithm>
#include <set>

namespace nodemirror {

namespace {

using toml_text::Value;

const std::vector<std::string>& hostKeys() {
    static const std::vector<std::string> keys{
        "capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout"};
    return keys;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// No more are made than anybody would read: a small file can bring thousands.
constexpr size_t kMostMade = 2000;
constexpr size_t kLongest = 200;  ///< of a name in it

std::string shownKey(const std::string& key) { return inQuotes(shortened(key, kLongest)); }
std::string shownName(const std::string& name) { return shortened(shownHost(name), kLongest); }

void add(std::vector<Warning>& warnings, const char* code, std::string text) {
    if (warnings.size() >= kMostMade) return;
    Warning warning;
    warning.code = code;
    warning.text = std::move(text);
    warnings.push_back(std::move(warning));
}

void unknownKeys(const Value& table, const std::string& where, bool root,
                 std::vector<Warning>& warnings) {
    std::vector<std::string> known = hostKeys();
    if (root) known.insert(known.end(), {"server", "host"});
    for (const auto& [key, value] : table.entries) {
        if (has(known, lower(key))) continue;
        if (warnings.size() >= kMostMade) return;
        const std::string meant = key.size() < kLongest ? nearest(key, known) : "";
        add(warnings, "unknown-key",
            "unknown key " + shownKey(key) + where + " is ignored" +
                (meant.empty() ? "" : "; did you mean " + meant + "?"));
    }
}

void hostTables(const Value& root, const Chain& hosts, const ContainerdVersion& version,
                std::vector<Warning>& warnings) {
    const Value* tables = root.find("host");
    if (tables == nullptr) return;
    size_t inlineTables = 0;
    for (const auto& [name, table] : tables->entries) {
        if (warnings.size() >= kMostMade) return;
        const std::string shown = shownName(name);
        unknownKeys(table, " of host " + shown, false, warnings);
        if (table.isInline) ++inlineTables;
        if (!version.knowsDialTimeout() && table.find("dial_timeout") != nullptr)
            add(warnings, "dial-timeout-ignored",
                "dial_timeout of host " + shown + " is ignored before 2.0.11");
        if (name.compare(0, 4, "http") != 0)
            add(warnings, "host-without-scheme", "host " + shown + " has no scheme: https is used");
        else if (const auto url = parseGoUrl(name, false); url && url->host.empty())
            add(warnings, "host-leads-nowhere",
                "host " + shown + " begins with http but has no scheme: it leads nowhere");
    }
    if (version.readsWithGoTomlV1()) {
        if (inlineTables > 1)
            add(warnings, "inline-hosts",
                "hosts as inline tables are tried in no certain order by 1.x");
    } else if (tables->entries.size() > hosts.size() - 1) {
        add(warnings, "inline-hosts",
            "hosts as inline tables or dotted keys are ignored by 2.x: write [host.\"URL\"]");
    }
}

void decodedHosts(const Chain& hosts, const ContainerdVersion& version,
                  std::vector<Warning>& warnings) {
    std::set<std::string> seen;
    for (const auto& host : hosts) {
        if (host.host.empty()) continue;
        if (!seen.insert(host.url()).second)
            add(warnings, "tried-twice", shortened(host.url(), kLongest) + " is tried twice");
        if (isTriedInHttpsFirst(host, version))
            add(warnings, "tls-on-http",
                shortened(host.url(), kLongest) + " has TLS options: https is tried before http");
        if (host.host == "docker.io" || host.host == "index.docker.io")
            add(warnings, "docker-io-server",
                shortened(host.url(), kLongest) +
                    " serves no images; Docker Hub's registry is registry-1.docker.io");
    }
    const bool resolves = std::any_of(hosts.begin(), hosts.end(), [](const ChainHost& host) {
        return host.host.empty() ||
               (has(host.capabilities, "pull") && has(host.capabilities, "resolve"));
    });
    if (!resolves)
        add(warnings, "no-resolver", "no host has both pull and resolve: no tag can be pulled");
}

}  // namespace

void lintHostsToml(std::string_view text, const Chain& hosts, const std::string& registry,
                   const ContainerdVersion& version, std::vector<Warning>& warnings) {
    decodedHosts(hosts, version, warnings);
    const auto read = toml_text::readTomlV2(text);
    if (!read.valid) {
        add(warnings, "not-toml-1.0",
            "is no TOML 1.0, and containerd 2.x would drop it: " + read.error.message);
        return;
    }
    if (read.newer)
        add(warnings, "toml-1.1",
            "has " + read.newer->message + " (line " + std::to_string(read.newer->line) +
                "), which is TOML 1.1: a containerd 2.x that was built with go-toml before 2.4 "
                "drops the file without a word");
    unknownKeys(read.root, "", true, warnings);
    hostTables(read.root, hosts, version, warnings);
    if (read.root.find("server") == nullptr && read.root.find("capabilities") != nullptr)
        add(warnings, "capabilities-without-server",
            "capabilities without server have no effect on the upstream of " + registry);
}

}  // namespace nodemirror
