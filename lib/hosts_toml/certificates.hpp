#pragma once

#include "hosts_toml/chain.hpp"

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <string>

namespace nodemirror {

/// Reads the certificates of a chain's hosts as ConfigureHosts loads them: a file that fails, of
/// whichever host, fails every pull of the registry.
///
/// Whoever may write below certs.d may name files without end: beyond some bounds they are not
/// looked at, and of them nothing is said.
class Certificates {
  public:
    /// Why containerd would fail at this host's; empty where it would not.
    std::string errorOf(const ChainHost& host);

  private:
    enum class Look {
        New,
        Known,   ///< read before
        Beyond,  ///< beyond the bounds, or not for this process: of it nothing is said
    };
    Look look(const std::string& path);

    static constexpr size_t kMostPaths = 512;            ///< one behind links costs milliseconds
    static constexpr size_t kMostPairs = 64;             ///< a key costs half a millisecond
    static constexpr off_t kMostCertificates = 4 << 20;  ///< bytes in all
    static constexpr size_t kMostBlocks = 200;           ///< more than a system's bundle has

    std::map<std::string, Look> seen_;
    off_t left_ = kMostCertificates;
    size_t blocks_ = 0;
    size_t pairs_ = 0;
};

}  // namespace nodemirror
