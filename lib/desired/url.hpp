#pragma once

#include "base/result.hpp"
#include "desired/desired.hpp"

#include <string>
#include <string_view>

namespace nodemirror {

/// Reads a mirror's or server's URL as people write it. Refuses what containerd would read in
/// another way than a person would: no scheme, credentials, query, fragment, odd ports.
/// The error's reason says what is wrong and what would be right; it never repeats credentials.
Result<Url> parseUrl(std::string_view text);

/// Empty when `name` can be the host part of an image reference, host:port, or _default;
/// otherwise what is wrong with it.
std::string registryNameProblem(std::string_view name);

}  // namespace nodemirror
