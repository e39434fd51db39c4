#pragma once

#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

/// Adds a warning for each thing in a valid hosts.toml that containerd takes in another way than
/// its writer probably meant, without a word in its log. `hosts` is what was decoded, before the
/// default upstream is filled in.
void lintHostsToml(std::string_view text, const Chain& hosts, const std::string& registry,
                   const ContainerdVersion& version, std::vector<Warning>& warnings);

}  // namespace nodemirror
