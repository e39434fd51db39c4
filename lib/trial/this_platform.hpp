#pragma once

#include "registry_protocol/manifest.hpp"

namespace nodemirror {

/// The platform of this machine, as containerd's platforms.DefaultSpec gives it.
Platform thisPlatform();

}  // namespace nodemirror
