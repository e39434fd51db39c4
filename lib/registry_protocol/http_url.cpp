#include "registry_protocol/http_url.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace nodemirror {

namespace {

bool hasControl(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

std::string HttpUrl::hostName() const {
    if (!authority.empty() && authority.front() == '[')
        return authority.substr(1, authority.find(']') - 1);
    return authority.substr(0, authority.find(':'));
}

std::string HttpUrl::port() const {
    const size_t from = authority.empty() || authority.front() != '[' ? 0 : authority.find(']');
    const size_t colon = from == std::string::npos ? from : authority.find(':', from);
    if (colon != std::string::npos && colon + 1 < authority.size())
        return authority.substr(colon + 1);
    return scheme == "https" ? "443" : "80";
}

bool HttpUrl::sameOrigin(const HttpUrl& other) const {
    return scheme == other.scheme && lower(hostName()) == lower(other.hostName()) &&
           port() == other.port();
}

bool HttpUrl::keepsCredentialsOf(const HttpUrl& first) const {
    const std::string mine = lower(hostName());
    const std::string parent = lower(first.hostName());
    if (first.scheme == "https" && scheme != "https") return false;
    if (mine == parent) return true;
    return mine.find_first_of(":%") == std::string::npos && mine.ends_with("." + parent);
}

std::optional<HttpUrl> parseHttpUrl(std::string_view text) {
    const size_t colon = text.find("://");
    if (colon == std::string_view::npos || hasControl(text)) return std::nullopt;
    HttpUrl out;
    out.scheme = lower(text.substr(0, colon));
    if (out.scheme != "http" && out.scheme != "https") return std::nullopt;
    std::string_view rest = text.substr(colon + 3);
    rest = rest.substr(0, rest.find('#'));
    const size_t end = rest.find_first_of("/?");
    std::string_view authority = rest.substr(0, end);
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos)
        authority = authority.substr(at + 1);
    if (authority.find(' ') != std::string_view::npos) return std::nullopt;
    out.authority = std::string(authority);
    out.target = end == std::string_view::npos ? "/" : std::string(rest.substr(end));
    if (out.target.front() == '?') out.target = "/" + out.target;
    if (out.hostName().empty()) return std::nullopt;
    const std::string port = out.port();
    const bool digits =
        std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    return digits && port.size() <= 5 ? std::optional<HttpUrl>(std::move(out)) : std::nullopt;
}

std::optional<HttpUrl> resolveLocation(const HttpUrl& base, std::string_view location) {
    if (location.empty() || hasControl(location)) return std::nullopt;
    if (location.substr(0, 2) == "//")
        return parseHttpUrl(base.scheme + ":" + std::string(location));
    const size_t colon = location.find(':');
    if (colon != std::string_view::npos && colon < location.find_first_of("/?#"))
        return parseHttpUrl(location);  // another scheme is refused there
    HttpUrl out = base;
    location = location.substr(0, location.find('#'));
    if (location.empty()) return out;
    const std::string path = base.target.substr(0, base.target.find('?'));
    if (location.front() == '/')
        out.target = std::string(location);
    else if (location.front() == '?')
        out.target = path + std::string(location);
    else
        out.target = path.substr(0, path.rfind('/') + 1) + std::string(location);
    return out;
}

namespace {

std::string percentEncoded(char c) {
    char buffer[4];
    std::snprintf(buffer, sizeof buffer, "%%%02X", static_cast<unsigned char>(c));
    return buffer;
}

}  // namespace

RequestTarget requestTarget(std::string_view target) {
    static constexpr std::string_view kNeverInUrls = " \"<>\\^`{|}";
    const auto isHex = [&](size_t at) {
        return at < target.size() && std::isxdigit(static_cast<unsigned char>(target[at])) != 0;
    };
    const size_t query = target.find('?');
    RequestTarget out;
    for (size_t i = 0; i < target.size(); ++i) {
        const char c = target[i];
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return {"", "net/url: invalid control character in URL"};
        if (c == '%' && i < query && !(isHex(i + 1) && isHex(i + 2)))
            out.error = "invalid URL escape " + inQuotes(target.substr(i, 3));
        if (!out.error.empty()) continue;
        const bool escape = byte >= 0x80 || kNeverInUrls.find(c) != std::string_view::npos;
        out.text += escape ? percentEncoded(c) : std::string(1, c);
    }
    return out;
}

std::string queryEscape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~')
            out += c;
        else
            out += c == ' ' ? "+" : percentEncoded(c);
    }
    return out;
}

HttpUrl withQuery(HttpUrl url, std::vector<std::pair<std::string, std::string>> parameters) {
    std::stable_sort(parameters.begin(), parameters.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [name, value] : parameters) {
        url.target += url.target.find('?') == std::string::npos ? '?' : '&';
        url.target += queryEscape(name) + "=" + queryEscape(value);
    }
    return url;
}

}  // namespace nodemirror
