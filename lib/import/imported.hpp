#pragma once

#include "base/result.hpp"
#include "containerd_config/config_reader.hpp"
#include "desired/desired.hpp"
#include "hosts_toml/reader.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// A mirror that was found, with what of it cannot be carried over.
struct ImportedMirror {
    Mirror mirror;
    std::vector<std::string> secretHeaders;  ///< names; their values are not repeated
    std::vector<std::string> notes;
};

/// A registry that was found on the node.
struct ImportedRegistry {
    std::string name;
    Fallback fallback = Fallback::Upstream;
    std::optional<Url> server;
    std::vector<ImportedMirror> mirrors;
    std::vector<std::string> notes;  ///< where it comes from, and what cannot be carried over
};

/// What a certs.d directory says, as containerd reads it. A directory that holds only certificates
/// becomes a mirror that is the upstream itself.
ImportedRegistry importReading(const ChainReading& reading, const std::string& root,
                               const ContainerdVersion& version);

/// What the legacy `mirrors` and `configs` of config.toml say.
std::vector<ImportedRegistry> importConfig(const ContainerdConfig& config);

/// The same as registries with the chains that CRI makes of those tables.
std::vector<Registry> registriesOf(const ContainerdConfig& config);

/// What a registries.yaml of k3s or RKE2 says. An Error: it is no YAML.
Result<std::vector<ImportedRegistry>> importK3s(const std::string& yaml, const std::string& path);

/// A desired state in YAML that gives these registries the chains that they have, with comments
/// for what could not be carried over. No header value that may be a secret is in it.
std::string writeDesired(const std::vector<ImportedRegistry>& registries,
                         const std::vector<std::string>& notes);

/// Adds a registry from a further source; one that is there already stays, with a note.
void addImported(std::vector<ImportedRegistry>& registries, ImportedRegistry fresh,
                 const std::string& source);

}  // namespace nodemirror
