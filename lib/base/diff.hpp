#pragma once

#include <string>

namespace nodemirror {

/// A unified diff of two texts with three lines of context; empty when they are the same. `from`
/// and `to` name the texts in its head ("/dev/null" for one that is not there).
std::string unifiedDiff(const std::string& from, const std::string& before, const std::string& to,
                        const std::string& after);

}  // namespace nodemirror
