#include "toml/runes.hpp"

namespace nodemirror::toml_text {

namespace {

constexpr char32_t kReplacement = 0xfffd;

struct Decoded {
    char32_t rune = kReplacement;
    size_t size = 1;
};

/// Go's utf8.DecodeRune: shortest forms only, no surrogates.
Decoded decode(std::string_view bytes) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return {first, 1};
    size_t size = 0;
    char32_t rune = 0;
    if (first >= 0xc2 && first <= 0xdf) {
        size = 2;
        rune = first & 0x1fU;
    } else if (first >= 0xe0 && first <= 0xef) {
        size = 3;
        rune = first & 0x0fU;
    } else if (first >= 0xf0 && first <= 0xf4) {
        size = 4;
        rune = first & 0x07U;
    }
    if (size == 0 || bytes.size() < size) return {};
    for (size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        rune = (rune << 6) | (byte(i) & 0x3fU);
    }
    const bool overlong = (size == 3 && rune < 0x800) || (size == 4 && rune < 0x10000);
    if (overlong || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return {};
    return {rune, size};
}

}  // namespace

std::u32string toRunes(std::string_view bytes) {
    std::u32string out;
    out.reserve(bytes.size());
    while (!bytes.empty()) {
        const Decoded next = decode(bytes);
        out += next.rune;
        bytes.remove_prefix(next.size);
    }
    return out;
}

std::string toUtf8(std::u32string_view runes) {
    std::string out;
    out.reserve(runes.size());
    for (char32_t rune : runes) {
        if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) rune = kReplacement;
        if (rune < 0x80) {
            out += static_cast<char>(rune);
        } else if (rune < 0x800) {
            out += static_cast<char>(0xc0 | (rune >> 6));
            out += static_cast<char>(0x80 | (rune & 0x3f));
        } else if (rune < 0x10000) {
            out += static_cast<char>(0xe0 | (rune >> 12));
            out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
            out += static_cast<char>(0x80 | (rune & 0x3f));
        } else {
            out += static_cast<char>(0xf0 | (rune >> 18));
            out += static_cast<char>(0x80 | ((rune >> 12) & 0x3f));
            out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
            out += static_cast<char>(0x80 | (rune & 0x3f));
        }
    }
    return out;
}

}  // namespace nodemirror::toml_text
