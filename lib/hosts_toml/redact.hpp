#pragma once

#include <string>

namespace nodemirror {

/// A hosts.toml of whatever quality with the values of its header tables replaced, and credentials
/// taken out of its URLs: for diffs and for people.
std::string redactHostsToml(const std::string& text);

/// The name of a host table in quotes, without the credentials that it may hold.
std::string shownHost(const std::string& name);

}  // namespace nodemirror
