#pragma once

#include "toml/value.hpp"

#include <string_view>

namespace nodemirror::toml_text {

/// Reads what go-toml 2.4 accepts, with toml++: TOML 1.1. containerd 2.x reads hosts.toml and its
/// configuration with go-toml 2.x, and which one it was built with its version does not tell;
/// before 2.4 that took TOML 1.0 alone (ReadValue::newer).
ReadValue readTomlV2(std::string_view text);

}  // namespace nodemirror::toml_text
