#pragma once

#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"

#include <string>

namespace nodemirror {

/// Where containerd finds a registry itself (docker.DefaultHost).
std::string upstreamHost(const std::string& registry);

/// Names the registry's own upstream where the last host is still empty (ConfigureHosts).
void fillDefaultHost(Chain& hosts, const std::string& registry, const ContainerdVersion& version);

/// Whether a host of a chain is the registry itself: then requests to it carry no ?ns=
/// (RegistryHost.isProxy).
bool isUpstream(const ChainHost& host, const std::string& registry);

/// Whether a host of _default's chain is the upstream of whichever registry is asked for. That has
/// no name of its own: nothing can be asked of it, and no URL of it be shown.
bool isAnyUpstream(const ChainHost& host);

}  // namespace nodemirror
