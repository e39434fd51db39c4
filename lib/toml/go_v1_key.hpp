#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror::toml_text {

/// The parts of a dotted key as go-toml 1.9 splits it (keysparsing.go); nothing when it refuses.
std::optional<std::vector<std::string>> splitGoKey(std::string_view key);

/// Whether go-toml 1.9 can read this number: underscores in place, within range, a known base.
bool isGoNumber(const std::string& text);

/// Whether time.Parse takes hh:mm:ss[.fraction], in that form already: "24:00:00" it does not, and
/// no more than nine digits of a fraction.
bool isGoClock(const std::string& text);

/// Whether time.Parse takes YYYY-MM-DD, in that form already: there must be such a day.
bool isGoDate(const std::string& text);

}  // namespace nodemirror::toml_text
