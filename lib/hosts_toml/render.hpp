#pragma once

#include "base/result.hpp"
#include "desired/desired.hpp"
#include "hosts_toml/chain.hpp"

#include <optional>
#include <string>

namespace nodemirror {

/// What is to stand in a registry's hosts.toml.
struct RenderedHosts {
    std::string text;      ///< may hold secret header values
    bool secret = false;   ///< carries header values: mode 0600 instead of 0644
    std::string redacted;  ///< the same with every header value replaced, for people to see
};

/// Renders hosts.toml in the one form that containerd 1.6, 1.7 and 2.x read alike: root keys
/// first, then a [host."URL"] header for each host in order with its header table right behind,
/// always a scheme, and a bare [host] where there is no host table (1.x needs one). With
/// fallback: none the last mirror is written as `server`, for only a server replaces upstream.
///
/// The text is then read back with this project's reader in the semantics of 1.6, 1.7 and 2.1; an
/// Error means that one of them would not give the intended chain, and nothing may be written.
Result<RenderedHosts> renderHosts(const Registry& registry);

/// A text of hosts.toml as it stands, with what may be shown of it. `secret`: it has header values.
RenderedHosts renderedText(std::string text, bool secret);

/// The file with which a registry's own upstream alone is asked.
RenderedHosts upstreamOnly();

/// The chain that the desired state means, in containerd's terms.
Chain intendedChain(const Registry& registry);

/// The other way: a registry with this chain (as it is decoded). Nothing where the desired state
/// has no words for it.
std::optional<Registry> registryOfChain(Chain chain, const std::string& name);

}  // namespace nodemirror
