#pragma once

#include <string>

namespace nodemirror::files {

/// What a file tells of its last writer: when, and whose it is. Empty when it is not there. inotify
/// does not say who wrote.
std::string tracesOf(const std::string& path);

}  // namespace nodemirror::files
