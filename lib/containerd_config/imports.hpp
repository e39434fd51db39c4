#pragma once

#include "base/result.hpp"
#include "containerd_config/config_reader.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace nodemirror {

/// Finds what the `imports` of containerd's configuration name (resolveImports). Patterns may lead
/// through a whole disk: all of one configuration look at 20,000 names together, and it is an error
/// where that is not enough.
class ImportSearch {
  public:
    /// After more than `most` paths of one file no further ones are looked for.
    explicit ImportSearch(size_t most) : most_(most) {}

    /// The paths that a file imports, each once, in containerd's order.
    Result<std::vector<std::string>> importsOf(const ConfigFile& file,
                                               const ContainerdVersion& containerd);

  private:
    Result<std::vector<std::string>> globbed(const std::string& pattern);

    size_t most_;
    size_t left_ = 20'000;  ///< names to look at
};

}  // namespace nodemirror
