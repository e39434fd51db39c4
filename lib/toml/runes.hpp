#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nodemirror::toml_text {

/// Go's []rune(string): bytes that are no UTF-8 become U+FFFD, one each.
std::u32string toRunes(std::string_view bytes);
/// Go's string([]rune): surrogates and what is past U+10FFFF become U+FFFD.
std::string toUtf8(std::u32string_view runes);

}  // namespace nodemirror::toml_text
