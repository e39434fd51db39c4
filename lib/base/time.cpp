#include "base/time.hpp"

#include <cstdint>
#include <cstdio>
#include <ctime>

namespace nodemirror {

std::string rfc3339(WallTime time) {
    const auto millis =
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    std::time_t seconds = static_cast<std::time_t>(millis / 1000);
    auto rest = static_cast<int>(millis % 1000);
    if (rest < 0) {
        rest += 1000;
        --seconds;
    }
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    char out[48];
    std::snprintf(out, sizeof out, "%s.%03dZ", date, rest);
    return out;
}

namespace {

constexpr uint64_t kLimit = uint64_t{1} << 63;

bool isDigit(char c) { return c >= '0' && c <= '9'; }

/// Go's leadingInt: digits from the front of `text`; nothing on overflow.
std::optional<uint64_t> leadingInt(std::string_view& text) {
    uint64_t value = 0;
    while (!text.empty() && isDigit(text.front())) {
        if (value > kLimit / 10) return std::nullopt;
        value = value * 10 + static_cast<uint64_t>(text.front() - '0');
        if (value > kLimit) return std::nullopt;
        text.remove_prefix(1);
    }
    return value;
}

struct Fraction {
    uint64_t value = 0;
    double scale = 1;
};

/// Go's leadingFraction: extra digits past the precision are passed over.
Fraction leadingFraction(std::string_view& text) {
    Fraction fraction;
    bool overflow = false;
    for (; !text.empty() && isDigit(text.front()); text.remove_prefix(1)) {
        if (overflow) continue;
        if (fraction.value > (kLimit - 1) / 10) {
            overflow = true;
            continue;
        }
        const uint64_t next = fraction.value * 10 + static_cast<uint64_t>(text.front() - '0');
        if (next > kLimit) {
            overflow = true;
            continue;
        }
        fraction.value = next;
        fraction.scale *= 10;
    }
    return fraction;
}

std::optional<uint64_t> unitNanos(std::string_view unit) {
    if (unit == "ns") return 1;
    if (unit == "us" || unit == "\u00b5s" || unit == "\u03bcs") return 1'000;
    if (unit == "ms") return 1'000'000;
    if (unit == "s") return 1'000'000'000;
    if (unit == "m") return 60'000'000'000;
    if (unit == "h") return 3'600'000'000'000;
    return std::nullopt;
}

/// One "<number><unit>" from the front of `text`.
std::optional<uint64_t> leadingTerm(std::string_view& text) {
    if (text.front() != '.' && !isDigit(text.front())) return std::nullopt;
    const size_t before = text.size();
    auto whole = leadingInt(text);
    if (!whole) return std::nullopt;
    const bool digitsBefore = before != text.size();
    Fraction fraction;
    bool digitsAfter = false;
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        const size_t start = text.size();
        fraction = leadingFraction(text);
        digitsAfter = start != text.size();
    }
    if (!digitsBefore && !digitsAfter) return std::nullopt;
    size_t end = 0;
    while (end < text.size() && text[end] != '.' && !isDigit(text[end])) ++end;
    const auto unit = unitNanos(text.substr(0, end));
    if (!unit || *whole > kLimit / *unit) return std::nullopt;
    text.remove_prefix(end);
    uint64_t nanos = *whole * *unit;
    if (fraction.value > 0) {
        nanos += static_cast<uint64_t>(static_cast<double>(fraction.value) *
                                       (static_cast<double>(*unit) / fraction.scale));
        if (nanos > kLimit) return std::nullopt;
    }
    return nanos;
}

}  // namespace

std::optional<Duration> parseGoDuration(std::string_view text) {
    bool negative = false;
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
        negative = text.front() == '-';
        text.remove_prefix(1);
    }
    if (text == "0") return Duration(0);
    if (text.empty()) return std::nullopt;
    uint64_t total = 0;
    while (!text.empty()) {
        const auto term = leadingTerm(text);
        if (!term) return std::nullopt;
        total += *term;
        if (total > kLimit) return std::nullopt;
    }
    if (negative) return Duration(static_cast<int64_t>(0 - total));
    if (total > kLimit - 1) return std::nullopt;
    return Duration(static_cast<int64_t>(total));
}

namespace {

/// `value` divided by 10^digits, without trailing zeros.
std::string decimal(uint64_t value, int digits) {
    uint64_t power = 1;
    for (int i = 0; i < digits; ++i) power *= 10;
    std::string out = std::to_string(value / power);
    std::string rest = std::to_string(value % power);
    rest.insert(0, static_cast<size_t>(digits) - rest.size(), '0');
    while (!rest.empty() && rest.back() == '0') rest.pop_back();
    return rest.empty() ? out : out + "." + rest;
}

}  // namespace

std::string formatGoDuration(Duration duration) {
    const int64_t signedNanos = duration.count();
    if (signedNanos == 0) return "0s";
    const bool negative = signedNanos < 0;
    const uint64_t nanos =
        negative ? 0 - static_cast<uint64_t>(signedNanos) : static_cast<uint64_t>(signedNanos);
    std::string out;
    if (nanos < 1'000) {
        out = std::to_string(nanos) + "ns";
    } else if (nanos < 1'000'000) {
        out = decimal(nanos, 3) + "\u00b5s";
    } else if (nanos < 1'000'000'000) {
        out = decimal(nanos, 6) + "ms";
    } else {
        const uint64_t minutes = nanos / 60'000'000'000;
        out = decimal(nanos % 60'000'000'000, 9) + "s";
        if (minutes > 0) out = std::to_string(minutes % 60) + "m" + out;
        if (minutes >= 60) out = std::to_string(minutes / 60) + "h" + out;
    }
    return negative ? "-" + out : out;
}

}  // namespace nodemirror
