#pragma once

#include "base/time.hpp"
#include "desired/desired.hpp"
#include "hosts_toml/chain.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

enum class RegistryState { InSync, Drifted, Contested, Unmanaged, Invalid };

/// A registry as status shows it.
struct RegistryView {
    std::string name;
    std::string directory;
    RegistryState state = RegistryState::Drifted;
    std::optional<Fallback> fallback;  ///< nothing where it is not declared
    Chain chain;                       ///< header values are never in it
    std::vector<std::string> roles;    ///< of the chain's hosts: mirror, server or upstream
    std::string why;      ///< why the chain is another than the declared one; empty when it is that
    std::string problem;  ///< why it is not in sync, or what is wrong with the file
    std::string remedy;   ///< of the problem; empty where only time mends it
    std::vector<std::string> warnings;
    std::optional<WallTime> healedAt;
    std::string healCause;
};

/// A change that is to be made, for people to read.
struct PlannedChange {
    std::string subject;
    std::string reason;
    std::string diff;  ///< unified, without secrets; may be empty
};

}  // namespace nodemirror
