#pragma once

#include <string>

namespace nodemirror::files {

/// Who may be writing a file, as far as that can be told afterwards: when it last changed and whose
/// it is, and the processes whose command line names its path or a directory above it up to
/// `root`. inotify does not say who wrote. Empty when nothing can be told.
std::string suspectsOf(const std::string& path, const std::string& root);

}  // namespace nodemirror::files
