#include "registry_protocol/challenge.hpp"

#include "base/text.hpp"
#include "registry_protocol/http_url.hpp"

namespace nodemirror {

namespace {

bool isToken(char c) {
    static constexpr std::string_view kSeparators = " \t\"(),/:;<=>?@[]\\{}";
    const auto byte = static_cast<unsigned char>(c);
    return byte > 31 && byte < 127 && kSeparators.find(c) == std::string_view::npos;
}

std::string takeToken(std::string_view& text) {
    size_t size = 0;
    while (size < text.size() && isToken(text[size])) ++size;
    std::string out(text.substr(0, size));
    text.remove_prefix(size);
    return out;
}

void skipSpace(std::string_view& text) {
    while (!text.empty() &&
           std::string_view(" \t\r\n").find(text.front()) != std::string_view::npos)
        text.remove_prefix(1);
}

std::string takeTokenOrQuoted(std::string_view& text) {
    if (text.empty() || text.front() != '"') return takeToken(text);
    std::string out;
    for (size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return out;
        }
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        out += text[i];
    }
    text = {};
    return "";  // a quote that is never closed
}

}  // namespace

Challenge parseChallenge(std::string_view header) {
    Challenge out;
    out.scheme = lower(takeToken(header));
    while (!out.scheme.empty()) {
        skipSpace(header);
        const std::string name = lower(takeToken(header));
        if (name.empty() || header.empty() || header.front() != '=') break;
        header.remove_prefix(1);
        out.parameters[name] = takeTokenOrQuoted(header);
        skipSpace(header);
        if (header.empty() || header.front() != ',') break;
        header.remove_prefix(1);
    }
    return out;
}

bool usableChallenge(const Challenge& challenge) {
    if (challenge.scheme == "basic") return true;
    if (challenge.scheme != "bearer") return false;
    const auto realm = challenge.parameters.find("realm");
    return realm != challenge.parameters.end() && parseHttpUrl(realm->second).has_value();
}

}  // namespace nodemirror
