#pragma once

#include "base/result.hpp"
#include "desired/desired.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Reads a file named in the desired state (CA, client pair, header); injected so that parsing
/// stays a function of its arguments.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

struct ParsedDesired {
    std::optional<Desired> desired;                  ///< only when there are no problems
    std::vector<Problem> problems;                   ///< all of them, in the order of the file
    std::map<std::string, std::string> headerFiles;  ///< their contents by path; secret
};

/// The largest desired state that is read, in bytes: 10,000 registries need about 3 MiB.
inline constexpr size_t kLargestDesired = 16U << 20;

/// Whether certificates and keys that are named are read and checked. A state that was good once is
/// read again without, for it stays in force even when such a file is gone by now.
enum class Certificates { Check, Trust };

/// Reads a desired state in the schema nodemirrord/v1. Never throws for bad input.
ParsedDesired parseDesired(const std::string& yaml, const FileReader& readFile,
                           Certificates certificates = Certificates::Check);

}  // namespace nodemirror
