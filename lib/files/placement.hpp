#pragma once

#include "base/result.hpp"
#include "files/certs_tree.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace nodemirror::files {

/// Puts hosts.toml into an open registry directory, whatever is there under its name: a foreign
/// file is kept as `keepAs` while that name is free, a directory that is not empty under that or
/// another name. `first` is as CertsTree::Kept has it. Gives the path below the root of such a
/// directory, or nothing.
Result<std::string> placeHosts(int parent, const std::string& directory, std::string_view content,
                               mode_t mode, const std::string& keepAs,
                               const std::optional<std::string>& first);

/// Puts back what was replaced earlier, under its name in an open directory.
Result<void> putEntry(int parent, const std::string& name, const BackedUpEntry& entry,
                      std::string_view content);

/// The error with its object below the registry's directory.
Error within(const std::string& directory, const Error& error);

}  // namespace nodemirror::files
