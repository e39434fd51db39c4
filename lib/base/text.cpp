#include "base/text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <numeric>

namespace nodemirror {

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    size_t begin = 0;
    while (true) {
        const size_t end = text.find(separator, begin);
        parts.emplace_back(text.substr(begin, end - begin));
        if (end == std::string_view::npos) return parts;
        begin = end + 1;
    }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string out;
    for (const auto& part : parts) {
        if (&part != &parts.front()) out += separator;
        out += part;
    }
    return out;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string trim(std::string_view text) {
    const auto isSpace = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && isSpace(text.front())) text.remove_prefix(1);
    while (!text.empty() && isSpace(text.back())) text.remove_suffix(1);
    return std::string(text);
}

size_t utf8Length(std::string_view text) {
    const auto byte = [text](size_t i) {
        return i < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[i])) : 0U;
    };
    const auto follows = [&](size_t i) { return (byte(i) & 0xc0U) == 0x80; };
    const unsigned first = byte(0);
    if (text.empty()) return 0;
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first < 0xf0 || first > 0xf4) return 0;
    const bool outside = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f);
    return follows(1) && follows(2) && follows(3) && !outside ? 4 : 0;
}

bool isUtf8(std::string_view text) {
    while (!text.empty()) {
        const size_t length = utf8Length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

namespace {

bool isControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

/// How many bytes at the beginning of the text are a character that acts on a terminal, or none.
size_t actsOnTerminal(std::string_view text) {
    const auto byte = [text](size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    if (isControl(static_cast<unsigned char>(byte(0))) || utf8Length(text) == 0) return 1;
    if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) return 2;  // C1
    if (byte(0) != 0xe2) return 0;
    // U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069
    const bool marks = byte(1) == 0x80 && ((byte(2) >= 0x8e && byte(2) <= 0x8f) ||
                                           (byte(2) >= 0xa8 && byte(2) <= 0xae));
    const bool isolates = byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9;
    return marks || isolates ? 3 : 0;
}

/// A character of at most three bytes, as TOML and YAML both escape it.
std::string escapedPoint(std::string_view character) {
    const auto bits = [character](size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(character[i])) & 0x3fU;
    };
    unsigned point = static_cast<unsigned char>(character[0]);
    if (character.size() == 2) point = (point & 0x1fU) << 6 | bits(1);
    if (character.size() == 3) point = (point & 0x0fU) << 12 | bits(1) << 6 | bits(2);
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\u%04x", point);
    return buffer;
}

std::string escaped(unsigned char c) {
    if (c == '\n') return "\\n";
    if (c == '\t') return "\\t";
    if (c == '\r') return "\\r";
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\x%02x", c);
    return buffer;
}

}  // namespace

std::string inQuotes(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const size_t acting = actsOnTerminal(text);
        const size_t length = std::max<size_t>(acting, utf8Length(text));
        if (acting == 1)
            out += escaped(static_cast<unsigned char>(text.front()));
        else if (acting > 1)
            out += '?';
        else if (text.front() == '"' || text.front() == '\\')
            out += {'\\', text.front()};
        else
            out += text.substr(0, length);
        text.remove_prefix(length);
    }
    return out + "\"";
}

std::string quotedScalar(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const size_t acting = actsOnTerminal(text);
        const size_t length = std::max<size_t>({acting, utf8Length(text), 1});
        const std::string_view character = text.substr(0, length);
        if (acting > 0 && utf8Length(text) > 0)
            out += escapedPoint(character);
        else if (character == "\"" || character == "\\")
            out.append("\\").append(character);
        else
            out += character;
        text.remove_prefix(length);
    }
    return out + "\"";
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const bool kept = text.front() == '\n' || text.front() == '\t';
        const size_t acting = kept ? 0 : actsOnTerminal(text);
        const size_t length = std::max<size_t>(acting, utf8Length(text));
        if (acting > 0)
            out += '?';
        else
            out += text.substr(0, length);
        text.remove_prefix(length);
    }
    return out;
}

std::string oneLine(std::string_view text) {
    std::string out = printable(text);
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    return out;
}

std::string shortened(std::string text, size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
    text.resize(most);
    return text + "…";
}

std::string withoutCredentials(std::string_view text) {
    std::string out;
    for (size_t at = text.find("//"); at != std::string_view::npos; at = text.find("//")) {
        const size_t begin = at + 2;
        const size_t end = text.find_first_of("/\"' \t\n", begin);
        const size_t sign = text.substr(0, end).rfind('@');
        out += text.substr(0, begin);
        text.remove_prefix(begin);
        if (sign != std::string_view::npos && sign >= begin) {
            out += "<redacted>";
            text.remove_prefix(sign - begin);
        }
    }
    return out += text;
}

std::string withoutQueries(std::string_view text) {
    std::string out;
    for (size_t at = text.find("//"); at != std::string_view::npos; at = text.find("//")) {
        const size_t end = std::min(text.find_first_of("\"' \t\n", at + 2), text.size());
        const size_t mark = std::min(text.substr(0, end).find('?', at + 2), end);
        const std::string_view query = text.substr(mark, end - mark);
        const bool own = query.substr(0, 4) == "?ns=" && query.find('&') == query.npos;
        out += text.substr(0, own ? end : mark);
        if (!own && !query.empty()) {
            out += "?<redacted>";
            if (query.back() == ':') out += ':';
        }
        text.remove_prefix(end);
    }
    return out += text;
}

namespace {

size_t editDistance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0]++;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    size_t bestDistance = (word.size() + 1) / 3 + 1;  // about one slip in three letters
    if (word.size() > 64) return best;
    for (const auto& candidate : candidates) {
        const size_t distance = editDistance(lower(word), lower(candidate));
        if (distance < bestDistance) {
            bestDistance = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace nodemirror
