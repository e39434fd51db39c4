#pragma once

#include "containerd_config/version.hpp"
#include "desired/desired.hpp"
#include "hosts_toml/chain.hpp"

#include <string>
#include <string_view>

namespace nodemirror {

/// What containerd's parseHostsFile makes of the bytes of a hosts.toml.
struct Decoded {
    /// The hosts in order, the server last. The server's `host` is empty when the file names none:
    /// it then stands for the registry's own upstream.
    Chain hosts;
    bool valid = false;
    std::string error;     ///< why containerd drops the file; only when not valid
    bool crashes = false;  ///< containerd itself would die of this file
    bool tooMuch = false;  ///< `error` is a bound of ours: what containerd makes of it is not known
};

/// `directory` is where the file lies: relative ca and client paths are joined to it.
Decoded decodeHostsToml(std::string_view text, const std::string& directory,
                        const ContainerdVersion& version);

}  // namespace nodemirror
