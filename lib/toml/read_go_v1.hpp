#pragma once

#include "toml/value.hpp"

#include <string_view>

namespace nodemirror::toml_text {

/// Reads text as go-toml 1.9 does (toml.LoadBytes), with which containerd 1.6 and 1.7 read
/// hosts.toml. Debian's containerd 1.6.20 links 1.9.4, whose recover() cannot take the parser's own
/// "unhandled token" panic, so that the whole daemon ends; `oldRecover` marks such errors.
ReadValue readGoTomlV1(std::string_view text, bool oldRecover);

}  // namespace nodemirror::toml_text
