#pragma once

#include "cli/output.hpp"
#include "hosts_toml/reader.hpp"

#include <string>
#include <vector>

namespace nodemirror::cli {

/// One registry's reading in the shape of `inspect -o json`.
Document toJson(const ChainReading& reading);

/// nodemirrorctl inspect: what containerd of that version makes of a certs.d tree. Without
/// registries, all that have a directory. Answers 1 when a registry has an error or a dropped file.
int inspect(const std::string& root, std::vector<std::string> registries,
            const std::string& version, const Output& output);

}  // namespace nodemirror::cli
