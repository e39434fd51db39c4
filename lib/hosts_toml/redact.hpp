#pragma once

#include <string>

namespace nodemirror {

/// A hosts.toml of whatever quality with the values of its header tables replaced, and credentials
/// taken out of its URLs: for diffs and for people.
std::string redactHostsToml(const std::string& text);

}  // namespace nodemirror
