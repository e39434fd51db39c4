#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "desired/desired.hpp"

namespace nodemirror {

/// Reads a file named in the desired state (CA, client pair, header); injected so that parsing
/// stays a function of its arguments.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

struct ParsedDesired {
    std::optional<Desired> desired;  ///< only when there are no problems
    std::vector<Problem> problems;   ///< all of them, in the order of the file
};

/// The largest desired state that is read, in bytes: 10,000 registries need about 3 MiB.
inline constexpr size_t kLargestDesired = 16U << 20;

/// Reads a desired state in the schema nodemirrord/v1. Never throws for bad input.
ParsedDesired parseDesired(const std::string& yaml, const FileReader& readFile);

}  // namespace nodemirror
