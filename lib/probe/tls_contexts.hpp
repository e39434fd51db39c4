#pragma once

#include "probe/tls_client.hpp"

#include <map>
#include <string>

namespace nodemirror {

/// TLS contexts shared by the hosts that have the same settings. Making one reads and parses the
/// system's roots (some 20 ms), so a context is used until one of its files is another:
/// certificates may be renewed in place, which containerd notices at every pull.
class TlsContexts {
  public:
    Result<TlsContext> get(const TlsSettings& settings);

  private:
    struct Entry {
        std::string stamps;  ///< of its files when it was made
        TlsContext context;
    };
    std::map<std::string, Entry> entries_;  ///< by settings
    std::shared_ptr<const SystemRoots> roots_;
    std::string rootsStamp_;
};

}  // namespace nodemirror
