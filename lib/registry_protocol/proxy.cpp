#include "registry_protocol/proxy.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

namespace nodemirror {

namespace {

/// An IP address as 16 bytes, IPv4 mapped into IPv6.
using Address = std::array<unsigned char, 16>;

std::optional<Address> parseAddress(const std::string& text) {
    Address out{};
    if (inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return out;
    out = {};
    out[10] = out[11] = 0xff;
    if (inet_pton(AF_INET, text.c_str(), out.data() + 12) == 1) return out;
    return std::nullopt;
}

bool isLoopback(const std::string& host) {
    if (host == "localhost") return true;
    const auto address = parseAddress(host);
    if (!address) return false;
    const bool v4 = (*address)[10] == 0xff && (*address)[11] == 0xff;
    if (v4) return (*address)[12] == 127;
    return (*address)[15] == 1 && std::all_of(address->begin(), address->end() - 1,
                                              [](unsigned char b) { return b == 0; });
}

bool inNetwork(const std::string& host, const std::string& entry) {
    const size_t slash = entry.find('/');
    const std::string base = entry.substr(0, slash);
    const auto address = parseAddress(host);
    const auto network = parseAddress(base);
    if (!address || !network) return false;
    int bits = std::atoi(entry.c_str() + slash + 1);
    if (base.find(':') == std::string::npos) bits += 96;
    for (int i = 0; i < bits && i < 128; ++i) {
        const auto mask = static_cast<unsigned char>(0x80U >> (i % 8));
        const auto at = static_cast<size_t>(i / 8);
        if (((*address)[at] & mask) != ((*network)[at] & mask)) return false;
    }
    return true;
}

/// One entry of NO_PROXY against a host and a port, both in lower case.
bool excludes(std::string entry, const std::string& host, const std::string& port) {
    entry = lower(trim(entry));
    if (entry.empty()) return false;
    if (entry == "*") return true;
    if (entry.find('/') != std::string::npos) return inNetwork(host, entry);
    if (parseAddress(entry)) return parseAddress(entry) == parseAddress(host);
    if (const size_t colon = entry.rfind(':'); colon != std::string::npos) {
        if (entry.substr(colon + 1) != port) return false;
        entry.resize(colon);
        if (entry.size() > 1 && entry.front() == '[') entry = entry.substr(1, entry.size() - 2);
        if (parseAddress(entry)) return parseAddress(entry) == parseAddress(host);
    }
    if (entry.rfind("*.", 0) == 0) entry.erase(0, 1);
    const bool onlyBelow = !entry.empty() && entry.front() == '.';
    const std::string suffix = onlyBelow ? entry : "." + entry;
    if (!onlyBelow && host == entry) return true;
    return host.size() > suffix.size() &&
           host.compare(host.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

ProxySettings proxySettings(const std::vector<std::string>& environment) {
    std::map<std::string, std::string> values;
    for (const auto& entry : environment) {
        const size_t equals = entry.find('=');
        if (equals != std::string::npos) values[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    const auto either = [&](const char* upper, const char* lowerCase) {
        return values[upper].empty() ? values[lowerCase] : values[upper];
    };
    ProxySettings out;
    out.http = either("HTTP_PROXY", "http_proxy");
    out.https = either("HTTPS_PROXY", "https_proxy");
    out.none = either("NO_PROXY", "no_proxy");
    return out;
}

std::string proxyFor(const ProxySettings& settings, const HttpUrl& url) {
    const std::string& proxy = url.scheme == "https" ? settings.https : settings.http;
    if (proxy.empty()) return "";
    const std::string host = lower(url.hostName());
    if (isLoopback(host)) return "";
    for (const auto& entry : split(settings.none, ','))
        if (excludes(entry, host, url.port())) return "";
    return proxy.find("://") == std::string::npos ? "http://" + proxy : proxy;
}

namespace {

/// User information as Go's url.Userinfo gives it: what is no escape stays as it is.
std::string percentDecoded(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && std::isxdigit(text[i + 1]) &&
                            std::isxdigit(text[i + 2]);
        out += escape ? static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)) : text[i];
        if (escape) i += 2;
    }
    return out;
}

}  // namespace

std::string proxyAuthorization(const std::string& proxy) {
    const size_t scheme = proxy.find("://");
    const size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const size_t at = proxy.substr(0, proxy.find('/', begin)).rfind('@');
    if (at == std::string::npos || at < begin) return "";
    return "Basic " + base64(percentDecoded(proxy.substr(begin, at - begin)));
}

}  // namespace nodemirror
