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

}  // namespace nodemirror::toml_text
