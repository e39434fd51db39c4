#pragma once

#include "base/time.hpp"
#include "hosts_toml/reader.hpp"
#include "observed/exchange.hpp"
#include "observed/node.hpp"
#include "plan/config_plan.hpp"
#include "registry_protocol/proxy.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace nodemirror {

/// The space of the file system below a path.
struct DiskUse {
    std::string path;
    uint64_t total = 0;      ///< bytes
    uint64_t available = 0;  ///< bytes, for whoever is not root
    uint64_t inodes = 0;
    uint64_t inodesFree = 0;
};

/// What a look at the node once brings, for explain and doctor. Every part is known, absent or
/// unknown.
struct NodeFacts {
    std::string certsDir;
    std::string containerdUnit;
    std::string kubeletUnit;
    ObservedNode node;
    /// The version that judgements go by: containerd's own, or an assumed one.
    ContainerdVersion version = kAssumedVersion;
    bool versionAssumed = false;
    EffectiveConfigPath configPath;
    std::vector<ChainReading> registries;           ///< those that have a directory under certs.d
    std::string registriesUnknown;                  ///< why certs.d could not be listed; or empty
    std::vector<std::string> emptyDirectories;      ///< under certs.d
    Seen<ProxySettings> proxies;                    ///< of containerd's unit
    Seen<std::vector<ObservedImage>> images;        ///< image records in k8s.io
    Seen<DiskUse> disk;                             ///< of containerd's root
    Seen<std::string> kubeadmFlags;                 ///< /var/lib/kubelet/kubeadm-flags.env
    std::map<std::string, RegistryAnswer> answers;  ///< by probeKey: GET on its /v2/
    WallTime now;
};

}  // namespace nodemirror
