#include "toml/go_v1_key.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>

namespace nodemirror::toml_text {

namespace {

bool isSpace(char c) { return c == ' ' || c == '\t'; }
bool isBare(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

/// Takes one bare part off the front of `rest`; false at a character that does not belong there.
bool bareKey(std::string_view& rest, std::vector<std::string>& parts) {
    size_t end = 0;
    while (end < rest.size() && isBare(rest[end])) ++end;
    parts.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
    if (rest.empty() || rest.front() == '.') return true;
    if (!isSpace(rest.front())) return false;
    while (!rest.empty() && isSpace(rest.front())) rest.remove_prefix(1);
    return rest.empty() || rest.front() == '.';
}

bool quotedKey(std::string_view& rest, std::vector<std::string>& parts) {
    const size_t close = rest.find(rest.front(), 1);
    if (close == std::string_view::npos) return false;
    parts.emplace_back(rest.substr(1, close - 1));
    rest.remove_prefix(close + 1);
    return true;
}

}  // namespace

std::optional<std::vector<std::string>> splitGoKey(std::string_view rest) {
    std::vector<std::string> parts;
    while (true) {
        while (!rest.empty() && isSpace(rest.front())) rest.remove_prefix(1);
        if (rest.empty()) break;
        bool good = false;
        if (isBare(rest.front())) {
            good = bareKey(rest, parts);
        } else if (rest.front() == '"' || rest.front() == '\'') {
            good = quotedKey(rest, parts);
        } else if (rest.front() == '.') {
            rest.remove_prefix(1);
            good = !rest.empty() && (isBare(rest.front()) || rest.front() == '\'' ||
                                     rest.front() == '"' || rest.front() == ' ');
        }
        if (!good) return std::nullopt;
    }
    if (parts.empty()) return std::nullopt;
    return parts;
}

namespace {

bool underscoresInPlace(const std::string& text, bool hex) {
    bool before = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c == '_' && (!before || i + 1 >= text.size())) return false;
        before = hex ? std::isxdigit(c) != 0 : std::isdigit(c) != 0;
    }
    return true;
}

bool fitsInteger(const std::string& digits, int base) {
    if (digits.empty()) return false;
    errno = 0;
    char* end = nullptr;
    if (digits.front() == '-' || digits.front() == '+')
        (void)std::strtoll(digits.c_str(), &end, base);
    else
        (void)std::strtoull(digits.c_str(), &end, base);
    return errno == 0 && *end == '\0';
}

}  // namespace

bool isGoNumber(const std::string& text) {
    std::string digits = text;
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    if (digits.find("inf") != std::string::npos || digits.find("nan") != std::string::npos)
        return true;
    const bool hex = digits.size() >= 3 && digits[0] == '0' && digits[1] == 'x';
    if (!underscoresInPlace(text, hex)) return false;
    if (!hex && digits.find_first_of(".eE") != std::string::npos) {
        char* end = nullptr;
        const double value = std::strtod(digits.c_str(), &end);
        return *end == '\0' && std::isfinite(value);
    }
    if (digits.size() >= 3 && digits[0] == '0') {
        const char letter = digits[1];
        if (letter != 'x' && letter != 'o' && letter != 'b') return false;
        return fitsInteger(digits.substr(2), letter == 'x' ? 16 : letter == 'o' ? 8 : 2);
    }
    return fitsInteger(digits, 10);
}

namespace {

int digitsAt(const std::string& text, size_t at, size_t count) {
    int out = 0;
    for (size_t i = at; i < at + count && i < text.size(); ++i) out = out * 10 + (text[i] - '0');
    return out;
}

}  // namespace

bool isGoClock(const std::string& text) {
    constexpr size_t kWithNanoseconds = sizeof("15:04:05.999999999") - 1;
    return digitsAt(text, 0, 2) < 24 && digitsAt(text, 3, 2) < 60 && digitsAt(text, 6, 2) < 60 &&
           text.size() <= kWithNanoseconds;
}

bool isGoDate(const std::string& text) {
    const std::chrono::year_month_day date(
        std::chrono::year(digitsAt(text, 0, 4)),
        std::chrono::month(static_cast<unsigned>(digitsAt(text, 5, 2))),
        std::chrono::day(static_cast<unsigned>(digitsAt(text, 8, 2))));
    return date.ok();
}

}  // namespace nodemirror::toml_text
