#pragma once

#include "diagnose/node_facts.hpp"
#include "hosts_toml/reader.hpp"

#include <string>

namespace nodemirror {

/// Which hosts containerd asks for a registry on this node, and why those.
struct ChainChoice {
    std::string root;  ///< the directory that config_path names; empty when none applies
    std::string why;   ///< in words for a person
    ChainReading reading;
};

/// Follows config_path as this containerd does: unset, the legacy mirrors of config.toml; one
/// directory; or a list of them, of which 1.x and 2.0 take the first that has anything for the
/// registry, and 2.1 and later none. Where the running configuration is not known, certs.d is
/// taken.
ChainChoice chooseChain(const NodeFacts& facts, const std::string& registry);

}  // namespace nodemirror
