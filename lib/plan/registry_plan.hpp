#pragma once

#include "desired/desired.hpp"
#include "hosts_toml/render.hpp"
#include "observed/ownership.hpp"
#include "observed/registry_files.hpp"

#include <optional>
#include <string>
#include <variant>

namespace nodemirror {

/// Put hosts.toml in place.
struct WriteHosts {
    std::string registry;
    std::string directory;
    RenderedHosts rendered;
    std::string sha256;
    mode_t mode = 0644;
    bool drifted = false;  ///< it was in place before and somebody changed it
    std::string reason;
};

/// Give the registry back: what was there before returns, or the file goes.
struct ReleaseHosts {
    std::string directory;
    bool leaveFile = false;  ///< somebody else's file is there now: only the claim ends
    std::string reason;
};

/// Take away an undeclared registry's hosts.toml, keeping it in the state directory.
struct PruneHosts {
    std::string directory;
    std::string reason;
};

using RegistryAction = std::variant<WriteHosts, ReleaseHosts, PruneHosts>;

inline const std::string& reasonOf(const RegistryAction& action) {
    const auto reason = [](const auto& any) -> const std::string& { return any.reason; };
    return std::visit(reason, action);
}

/// What a registry is meant to have.
struct IntendedHosts {
    std::string registry;
    std::string directory;
    RenderedHosts rendered;
    std::string sha256;
    std::string why;  ///< why it is another than the declared one; empty when it is that
    mode_t mode() const { return rendered.secret ? 0600 : 0644; }
};

/// What is to be done for a declared registry; nothing when all is as it should be. An unknown
/// observation gives nothing.
std::optional<RegistryAction> planDeclared(const IntendedHosts& intended, const Ownership* owned,
                                           const Seen<ObservedRegistry>& observed, uid_t self);

/// What is to be done for a directory whose registry is not declared.
std::optional<RegistryAction> planUndeclared(const std::string& directory, const Ownership* owned,
                                             const Seen<ObservedRegistry>& observed,
                                             UnmanagedPolicy policy);

/// What somebody did to a file that was in place, in words: "deleted", "mode changed to 0600".
std::string describeDrift(const ObservedRegistry& observed, const IntendedHosts& intended,
                          uid_t self);

}  // namespace nodemirror
