#pragma once

#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"
#include "views/registry_view.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// What is told of a registry that the desired state does not declare. It is kept of thousands, and
/// who wrote it may be hostile: the first hosts and warnings alone, shortened.
struct UndeclaredRegistry {
    RegistryState state = RegistryState::Unmanaged;
    std::string problem;
    std::vector<std::string> warnings;
    Chain chain;  ///< the last host always
};

/// Reads the registry of a directory below `root` as this containerd does.
UndeclaredRegistry readUndeclared(const std::string& root, const std::string& directory,
                                  const ContainerdVersion& containerd);

}  // namespace nodemirror
