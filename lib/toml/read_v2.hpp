#pragma once

#include "toml/value.hpp"

#include <string_view>

namespace nodemirror::toml_text {

/// Reads TOML 1.0 (toml++), which is what go-toml 2.x accepts; containerd 2.x reads hosts.toml and
/// its configuration with that.
ReadValue readTomlV2(std::string_view text);

}  // namespace nodemirror::toml_text
