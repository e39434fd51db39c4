#pragma once

#include "toml/value.hpp"

#include <optional>
#include <string_view>

namespace nodemirror::toml_text {

/// The first thing in a valid text that TOML 1.1 has and TOML 1.0 has not: a line end, a comment or
/// a last comma in an inline table, the escapes \\e and \\x, a time without seconds.
std::optional<SyntaxError> firstNewer(std::string_view text);

}  // namespace nodemirror::toml_text
