#include "hosts_toml/go_url.hpp"

#include "base/text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace nodemirror {

namespace {

enum class Part { Host, Zone, Path, User, Fragment };

bool isAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool isHex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }
int hexValue(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return std::tolower(static_cast<unsigned char>(c)) - 'a' + 10;
}

/// net/url shouldEscape for a host: these stand as they are.
bool standsInHost(char c) {
    return isAlnum(c) ||
           std::string_view("-_.~!$&'()*+,;=:[]<>\"").find(c) != std::string_view::npos;
}

/// net/url unescape
std::optional<std::string> unescape(std::string_view text, Part part) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool hostLike = part == Part::Host || part == Part::Zone;
        if (c != '%') {
            if (hostLike && static_cast<unsigned char>(c) < 0x80 && !standsInHost(c))
                return std::nullopt;
            out += c;
            continue;
        }
        if (i + 2 >= text.size() || !isHex(text[i + 1]) || !isHex(text[i + 2])) return std::nullopt;
        const bool percent = text.substr(i, 3) == "%25";
        if (part == Part::Host && hexValue(text[i + 1]) < 8 && !percent) return std::nullopt;
        const char decoded = static_cast<char>(hexValue(text[i + 1]) * 16 + hexValue(text[i + 2]));
        if (part == Part::Zone && !percent && decoded != ' ' && !standsInHost(decoded))
            return std::nullopt;
        out += decoded;
        i += 2;
    }
    return out;
}

bool validOptionalPort(std::string_view text) {
    if (text.empty()) return true;
    if (text.front() != ':') return false;
    text.remove_prefix(1);
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool isIpv6(std::string_view text) {
    in6_addr address{};
    return inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

std::optional<std::string> parseHost(std::string_view host, bool strictBrackets) {
    if (!host.empty() && host.front() == '[') {
        const size_t close = host.rfind(']');
        if (close == std::string_view::npos || !validOptionalPort(host.substr(close + 1)))
            return std::nullopt;
        const size_t zone = host.substr(0, close).find("%25");
        const size_t literalEnd = std::min(zone, close);
        if (strictBrackets && !isIpv6(host.substr(1, literalEnd - 1))) return std::nullopt;
        if (zone != std::string_view::npos) {
            const auto address = unescape(host.substr(0, zone), Part::Host);
            const auto name = unescape(host.substr(zone, close - zone), Part::Zone);
            const auto rest = unescape(host.substr(close), Part::Host);
            if (!address || !name || !rest) return std::nullopt;
            return *address + *name + *rest;
        }
    } else if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
        if (!validOptionalPort(host.substr(colon))) return std::nullopt;
    }
    return unescape(host, Part::Host);
}

bool validUserinfo(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return isAlnum(c) ||
               std::string_view("-._:~!$&'()*+,;=%@").find(c) != std::string_view::npos;
    });
}

std::optional<std::string> parseAuthority(std::string_view authority, bool strictBrackets) {
    const size_t at = authority.rfind('@');
    if (at == std::string_view::npos) return parseHost(authority, strictBrackets);
    auto host = parseHost(authority.substr(at + 1), strictBrackets);
    const std::string_view user = authority.substr(0, at);
    if (!host || !validUserinfo(user) || !unescape(user, Part::User)) return std::nullopt;
    return host;
}

/// net/url getScheme: takes the scheme off the front of `rest`; false on ":" with nothing before.
bool takeScheme(std::string_view& rest, std::string& scheme) {
    for (size_t i = 0; i < rest.size(); ++i) {
        const char c = rest[i];
        if (std::isalpha(static_cast<unsigned char>(c)) != 0) continue;
        if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.') {
            if (i == 0) return true;
            continue;
        }
        if (c != ':') return true;
        if (i == 0) return false;
        scheme = lower(rest.substr(0, i));
        rest.remove_prefix(i + 1);
        return true;
    }
    return true;
}

}  // namespace

std::optional<GoUrl> parseGoUrl(std::string_view text, bool strictBrackets) {
    const size_t hash = text.find('#');
    std::string_view rest = text.substr(0, hash);
    if (hash != std::string_view::npos && !unescape(text.substr(hash + 1), Part::Fragment))
        return std::nullopt;
    const bool control = std::any_of(rest.begin(), rest.end(),
                                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (control) return std::nullopt;
    GoUrl url;
    if (!takeScheme(rest, url.scheme)) return std::nullopt;
    rest = rest.substr(0, rest.find('?'));
    if (rest.empty() || rest.front() != '/') {
        if (!url.scheme.empty()) return url;  // opaque: neither host nor path
        if (rest.substr(0, rest.find('/')).find(':') != std::string_view::npos) return std::nullopt;
    }
    const bool hasAuthority =
        rest.substr(0, 2) == "//" && (!url.scheme.empty() || rest.substr(0, 3) != "///");
    if (hasAuthority) {
        rest.remove_prefix(2);
        const size_t slash = rest.find('/');
        const auto host = parseAuthority(rest.substr(0, slash), strictBrackets);
        if (!host) return std::nullopt;
        url.host = *host;
        rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
    }
    auto path = unescape(rest, Part::Path);
    if (!path) return std::nullopt;
    url.path = std::move(*path);
    return url;
}

std::string cleanPath(std::string_view path) {
    if (path.empty()) return ".";
    const bool rooted = path.front() == '/';
    std::vector<std::string> kept;
    for (auto& part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        const bool up = part == "..";
        if (up && !kept.empty() && kept.back() != "..")
            kept.pop_back();
        else if (!up || !rooted)
            kept.push_back(std::move(part));
    }
    const std::string joined = join(kept, "/");
    if (rooted) return "/" + joined;
    return joined.empty() ? "." : joined;
}

std::string absolutePath(std::string_view path, std::string_view base) {
    if (!path.empty() && path.front() == '/') return std::string(path);
    if (path.empty()) return cleanPath(base);
    return cleanPath(std::string(base) + "/" + std::string(path));
}

namespace {

struct HostPort {
    std::string host;
    std::string port;
};

/// net.SplitHostPort
std::optional<HostPort> splitHostPort(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    HostPort out;
    out.port = std::string(text.substr(colon + 1));
    if (text.front() == '[') {
        const size_t close = text.find(']');
        if (close == std::string_view::npos || close + 1 != colon) return std::nullopt;
        out.host = std::string(text.substr(1, close - 1));
        if (out.host.find('[') != std::string::npos) return std::nullopt;
    } else {
        out.host = std::string(text.substr(0, colon));
        if (out.host.find(':') != std::string::npos) return std::nullopt;
        if (out.host.find_first_of("[]") != std::string::npos) return std::nullopt;
    }
    if (out.port.find_first_of("[]") != std::string::npos) return std::nullopt;
    return out;
}

}  // namespace

std::string portOf(std::string_view host) {
    const auto parts = splitHostPort(host);
    return parts ? parts->port : "";
}

std::string withDefaultScheme(const std::string& endpoint) {
    if (endpoint.find("://") != std::string::npos) return endpoint;
    const auto url = parseGoUrl("dummy://" + endpoint, false);
    return (url && isLocalhost(url->host) ? "http://" : "https://") + endpoint;
}

bool isLocalhost(std::string_view host) {
    const auto parts = splitHostPort(host);
    const std::string name = parts ? parts->host : std::string(host);
    if (name == "localhost") return true;
    in_addr v4{};
    if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6{};
    if (inet_pton(AF_INET6, name.c_str(), &v6) != 1) return false;
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return true;
    return IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127;
}

}  // namespace nodemirror
