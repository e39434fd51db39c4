#include "base/text.hpp"
#include "desired/url.hpp"
#include "hosts_toml/go_url.hpp"
#include "import/imported.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <regex>
#include <set>

namespace nodemirror {

namespace {

const LegacyHost* findHost(const std::vector<LegacyHost>& hosts, const std::string& name) {
    const auto found = std::find_if(hosts.begin(), hosts.end(),
                                    [&](const LegacyHost& host) { return host.host == name; });
    return found == hosts.end() ? nullptr : &*found;
}

/// An endpoint of registries.yaml with the scheme that k3s gives it where it has none: http for
/// localhost at an odd port (normalizeEndpointAddress of pkg/agent/containerd).
std::string withK3sScheme(const std::string& endpoint) {
    if (endpoint.find("://") != std::string::npos) return endpoint;
    const auto url = parseGoUrl("dummy://" + endpoint, false);
    const std::string port = url ? portOf(url->host) : "";
    const bool plain = url && isLocalhost(url->host) && !port.empty() && port != "443";
    return (plain ? "http://" : "https://") + endpoint;
}

std::string notCarriedOver(const LegacyHost& host) {
    return "its credentials (configs." + host.host +
           ".auth) are not carried over: leave them where they are, for they work beside "
           "config_path, or give an Authorization header by headerFiles";
}

/// An endpoint as CRI reads it (registryHosts): a path stands as it is, none means /v2.
void importEndpoint(const std::string& endpoint, const std::vector<LegacyHost>& hosts,
                    const std::string& prefix, ImportedRegistry& out) {
    auto url = parseUrl(endpoint);
    if (!url) {
        out.notes.push_back("the endpoint " + inQuotes(withoutCredentials(endpoint)) +
                            " is left out: " + url.error().reason());
        return;
    }
    ImportedMirror item;
    item.mirror.url = std::move(*url);
    std::string& path = item.mirror.url.path;
    const bool v2 = endsInApiRoot(path);
    if (v2)
        path.resize(path.size() - 3);
    else
        item.mirror.overridePath = !path.empty();
    item.mirror.repositoryPrefix = prefix;
    if (const LegacyHost* host = findHost(hosts, item.mirror.url.host); host != nullptr) {
        const bool tls = !host->ca.empty() || !host->cert.empty() || host->skipVerify;
        if (item.mirror.url.scheme == "http" && tls) {
            item.notes.emplace_back("its TLS settings are left out: they do not go with http://");
        } else {
            if (!host->ca.empty()) item.mirror.ca.push_back(host->ca);
            if (!host->cert.empty())
                item.mirror.client =
                    ClientPair{host->cert, host->key.empty() ? host->cert : host->key};
            item.mirror.skipVerify = host->skipVerify;
        }
        if (host->hasAuth) item.notes.push_back(notCarriedOver(*host));
    }
    const bool twice = std::any_of(
        out.mirrors.begin(), out.mirrors.end(),
        [&](const ImportedMirror& other) { return hostUrl(other.mirror) == hostUrl(item.mirror); });
    if (!twice) out.mirrors.push_back(std::move(item));
}

std::string registryName(const std::string& legacy) { return legacy == "*" ? "_default" : legacy; }

std::string scalar(const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : ""; }

/// "team/cache" from a rewrite of everything to team/cache/$1; nothing for any other rewrite.
std::optional<std::string> prefixOf(const std::string& pattern, const std::string& replacement) {
    static const std::regex everything("\\^?\\(\\.[*+]\\)\\$?");
    static const std::regex prefixed("([a-z0-9._-]+(/[a-z0-9._-]+)*)/\\$\\{?1\\}?");
    constexpr size_t kLongest = 1000;  // std::regex recurses with the length of a text
    std::smatch match;
    if (std::max(pattern.size(), replacement.size()) > kLongest) return std::nullopt;
    if (!std::regex_match(pattern, everything) || !std::regex_match(replacement, match, prefixed))
        return std::nullopt;
    return match[1].str();
}

std::vector<LegacyHost> k3sHosts(const YAML::Node& configs) {
    std::vector<LegacyHost> out;
    if (!configs.IsMap()) return out;
    for (const auto& entry : configs) {
        LegacyHost host;
        host.host = scalar(entry.first);
        if (!entry.second.IsMap()) continue;
        if (const auto tls = entry.second["tls"]; tls && tls.IsMap()) {
            host.ca = tls["ca_file"] ? scalar(tls["ca_file"]) : "";
            host.cert = tls["cert_file"] ? scalar(tls["cert_file"]) : "";
            host.key = tls["key_file"] ? scalar(tls["key_file"]) : "";
            // Every spelling of YAML counts (True, TRUE, yes).
            host.skipVerify = tls["insecure_skip_verify"] &&
                              tls["insecure_skip_verify"].IsScalar() &&
                              tls["insecure_skip_verify"].as<bool>(false);
        }
        host.hasAuth = static_cast<bool>(entry.second["auth"]);
        out.push_back(std::move(host));
    }
    return out;
}

ImportedRegistry k3sRegistry(const std::string& name, const YAML::Node& mirror,
                             const std::vector<LegacyHost>& hosts, const std::string& path) {
    ImportedRegistry out;
    out.name = registryName(name);
    out.notes.push_back("from " + path);
    if (!mirror.IsMap()) return out;
    std::string prefix;
    if (const auto rewrite = mirror["rewrite"]; rewrite && rewrite.IsMap())
        for (const auto& rule : rewrite) {
            const auto found = prefixOf(scalar(rule.first), scalar(rule.second));
            if (found && rewrite.size() == 1)
                prefix = *found;
            else
                out.notes.push_back("the rewrite " + inQuotes(scalar(rule.first)) + " to " +
                                    inQuotes(scalar(rule.second)) +
                                    " is left out: containerd itself rewrites no repositories; "
                                    "only a prefix can be had (repositoryPrefix)");
        }
    if (const auto endpoints = mirror["endpoint"]; endpoints && endpoints.IsSequence())
        for (const auto& endpoint : endpoints)
            importEndpoint(withK3sScheme(scalar(endpoint)), hosts, prefix, out);
    return out;
}

/// Settings of a registry that has no mirror: the upstream itself, with these.
void addUnmirrored(const std::vector<LegacyHost>& hosts, std::vector<ImportedRegistry>& out) {
    std::set<std::string> told;
    for (const auto& registry : out) {
        told.insert(registry.name);
        for (const auto& item : registry.mirrors) told.insert(item.mirror.url.host);
    }
    for (const auto& host : hosts) {
        const bool tls = !host.ca.empty() || !host.cert.empty() || host.skipVerify;
        if ((!tls && !host.hasAuth) || !told.insert(host.host).second) continue;
        ImportedRegistry registry;
        registry.name = host.host;
        if (tls) {
            registry.fallback = Fallback::None;
            registry.notes.push_back("from the legacy configs." + host.host + ".tls");
            importEndpoint("https://" + host.host, hosts, "", registry);
        } else {
            registry.notes.push_back(notCarriedOver(host));
        }
        out.push_back(std::move(registry));
    }
}

}  // namespace

std::vector<ImportedRegistry> importConfig(const ContainerdConfig& config) {
    std::vector<ImportedRegistry> out;
    for (const auto& mirror : config.mirrors) {
        ImportedRegistry registry;
        registry.name = registryName(mirror.registry);
        registry.notes.push_back("from the legacy mirrors in " + mirror.file);
        for (const auto& endpoint : mirror.endpoints)
            importEndpoint(withDefaultScheme(endpoint), config.hosts, "", registry);
        out.push_back(std::move(registry));
    }
    addUnmirrored(config.hosts, out);
    return out;
}

std::vector<Registry> registriesOf(const ContainerdConfig& config) {
    std::vector<Registry> out;
    for (auto& imported : importConfig(config)) {
        Registry registry;
        registry.name = std::move(imported.name);
        registry.fallback = imported.fallback;
        registry.server = std::move(imported.server);
        for (auto& item : imported.mirrors) registry.mirrors.push_back(std::move(item.mirror));
        if (!registry.mirrors.empty()) out.push_back(std::move(registry));
    }
    return out;
}

Result<std::vector<ImportedRegistry>> importK3s(const std::string& yaml, const std::string& path) {
    std::vector<ImportedRegistry> out;
    try {
        const YAML::Node root = YAML::Load(yaml);
        if (!root.IsMap()) return out;
        const auto hosts = k3sHosts(root["configs"] ? root["configs"] : YAML::Node());
        const YAML::Node mirrors = root["mirrors"];
        if (mirrors && mirrors.IsMap())
            for (const auto& entry : mirrors)
                out.push_back(k3sRegistry(scalar(entry.first), entry.second, hosts, path));
        addUnmirrored(hosts, out);
    } catch (const YAML::Exception& error) {
        return Error(
            "read", path,
            "it is no valid YAML (line " + std::to_string(error.mark.line + 1) + "): " + error.msg);
    }
    return out;
}

void addImported(std::vector<ImportedRegistry>& registries, ImportedRegistry fresh,
                 const std::string& source) {
    const auto known =
        std::find_if(registries.begin(), registries.end(),
                     [&](const ImportedRegistry& other) { return other.name == fresh.name; });
    if (known == registries.end()) {
        registries.push_back(std::move(fresh));
        return;
    }
    std::vector<std::string> urls;
    for (const auto& item : fresh.mirrors) urls.push_back(item.mirror.url.text());
    known->notes.push_back(source + " has it too (" +
                           (urls.empty() ? "no mirrors" : join(urls, ", ")) +
                           "): left out, since a registry is declared once");
}

}  // namespace nodemirror
