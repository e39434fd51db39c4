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

/// Whether a host of a chain leads to the registry itself, however it is written: in capitals, or
/// with its scheme's port.
bool leadsUpstream(const ChainHost& host, const std::string& registry);

/// Whether a host of _default's chain is the upstream of whichever registry is asked for. That has
/// no name of its own: nothing can be asked of it, and no URL of it be shown.
bool isAnyUpstream(const ChainHost& host);

/// Whether containerd speaks https to a host that is declared with http, and http only where that
/// does not answer it: one with TLS options at another port than 80 (NewHTTPFallback, since 1.7).
bool isTriedInHttpsFirst(const ChainHost& host, const ContainerdVersion& version);

}  // namespace nodemirror
