#include "desired/url.hpp"

#include "base/text.hpp"
#include "reference/image_reference.hpp"

#include <arpa/inet.h>

#include <regex>

namespace nodemirror {

namespace {

constexpr char kHostPattern[] =
    "([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\\.?"
    "|\\[[A-Fa-f0-9:.]+\\])(:([0-9]{1,5}))?";

bool isHost(const std::string& text) {
    static const std::regex pattern(kHostPattern, std::regex::ECMAScript | std::regex::optimize);
    std::smatch match;
    if (text.size() > 300 || !std::regex_match(text, match, pattern)) return false;
    constexpr size_t kPort = 6;
    if (text.front() == '[') {
        in6_addr address{};
        const std::string literal = text.substr(1, text.find(']') - 1);
        if (::inet_pton(AF_INET6, literal.c_str(), &address) != 1) return false;
    }
    if (!match[kPort].matched) return true;
    const int port = std::stoi(match[kPort].str());
    return port >= 1 && port <= 65535;
}

Error wrong(std::string reason) { return {"read the URL", "", std::move(reason)}; }

}  // namespace

Result<Url> parseUrl(std::string_view text) {
    Url url;
    // std::regex recurses by the character: nothing long may get to it.
    constexpr size_t kLongest = 2000;
    if (text.size() > kLongest) return wrong("is longer than 2000 characters");
    const size_t colon = text.find("://");
    if (colon == std::string_view::npos)
        return wrong("has no scheme; write https:// (or http://) before it");
    url.scheme = std::string(text.substr(0, colon));
    if (url.scheme != "https" && url.scheme != "http")
        return wrong("has the scheme " + inQuotes(url.scheme) + "; use https:// or http://");
    std::string_view rest = text.substr(colon + 3);
    const size_t end = rest.find_first_of("/?#");
    url.host = std::string(rest.substr(0, end));
    url.path = end == std::string_view::npos ? "" : std::string(rest.substr(end));
    if (url.host.find('@') != std::string::npos)
        return wrong(
            "has credentials in it; take them out and give an Authorization header by headerFiles");
    if (!isHost(url.host))
        return wrong("has no valid host; write scheme://host, host:port or [IPv6]:port");
    if (url.path.find_first_of("?#") != std::string::npos)
        return wrong("has a query or a fragment, which containerd does not send; take it out");
    static const std::regex path("(/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*");
    if (!std::regex_match(url.path, path))
        return wrong("has a character in its path that does not belong there");
    while (!url.path.empty() && url.path.back() == '/') url.path.pop_back();
    for (const auto& part : split(url.path, '/'))
        if (part == "." || part == "..") return wrong("has . or .. in its path; write it in full");
    if (url.path.find("//") != std::string::npos) return wrong("has // in its path");
    return url;
}

std::string apiPath(const Mirror& mirror) {
    std::string path = mirror.url.path;
    if (!mirror.overridePath && !endsInApiRoot(path)) path += "/v2";
    if (!mirror.repositoryPrefix.empty()) path += "/" + mirror.repositoryPrefix;
    return path;
}

std::string hostUrl(const Mirror& mirror) {
    if (mirror.repositoryPrefix.empty()) return mirror.url.text();
    return mirror.url.scheme + "://" + mirror.url.host + apiPath(mirror);
}

std::string registryNameProblem(std::string_view name) {
    if (name == "_default") return "";
    if (name.find("://") != std::string_view::npos)
        return "must be the host part of image references, without a scheme: docker.io, "
               "registry.example:5000";
    if (name.find('/') != std::string_view::npos)
        return "must be a host without a path; a prefix belongs to a mirror's repositoryPrefix";
    if (name.find('*') != std::string_view::npos)
        return "containerd knows no wildcards here; for all other registries write _default";
    if (name == "index.docker.io")
        return "containerd reads index.docker.io as docker.io; write docker.io";
    if (name.ends_with('_'))
        return "must be written as host:port; with underscores it is only called in certs.d";
    const auto reference = parseImageReference(std::string(name) + "/a");
    if (!isHost(std::string(name)) || !reference || reference->host != name)
        return "must be a host or host:port as image references have it (with a dot, or a port, or "
               "localhost), or _default";
    return "";
}

}  // namespace nodemirror
