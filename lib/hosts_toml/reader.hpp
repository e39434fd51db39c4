#pragma once

#include "base/result.hpp"
#include "containerd_config/version.hpp"
#include "hosts_toml/chain.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// What containerd makes of a certs.d tree for one registry.
struct ChainReading {
    std::string registry;
    std::string directory;    ///< relative to the root; empty when no directory applies
    std::string error;        ///< why every pull would fail; `hosts` is empty then
    bool unreadable = false;  ///< `error` is this process's alone: containerd, as root, may read it
    std::string ignored;      ///< why containerd drops the file; `hosts` is what it uses instead
    std::string others;       ///< who but root may say what is in it: "it belongs to uid 1000"
    bool othersOnTheWay = false;  ///< it is through a link that they may
    /// The file may be one that those others may not read: what it says is for root alone.
    bool hidden = false;
    std::vector<Warning> warnings;
    Chain hosts;

    /// What `error` comes to.
    std::string consequence() const {
        return (unreadable ? "what containerd makes of it cannot be told: "
                           : "every pull fails: ") +
               error;
    }
};

/// The texts of warnings.
std::vector<std::string> textsOf(const std::vector<Warning>& warnings);

/// Which certificates are read. OfRoot: none where others may write the hosts.toml, who may name
/// files that take the kernel seconds to find; of theirs nothing is said.
enum class CertificateFiles { All, OfRoot };

/// Reads `root` for `registry` as containerd of that version does at every pull: HostDirFromRoot,
/// loadHostDir and ConfigureHosts of remotes/docker/config/hosts.go (1.x) and
/// core/remotes/docker/config/hosts.go (2.x). Certificates are read as containerd would read them.
ChainReading readChain(const std::string& root, const std::string& registry,
                       const ContainerdVersion& version,
                       CertificateFiles files = CertificateFiles::All);

/// Whether what was read says anything that containerd would not do without it: another host, or
/// other settings of the registry's own.
bool isOwn(const ChainReading& reading);

}  // namespace nodemirror
