#pragma once

#include "files/certs_tree.hpp"
#include "observed/ownership.hpp"
#include "plan/registry_plan.hpp"
#include "state/state_dir.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// What the daemon owns below certs.d, and what stood there before. A registry is claimed before
/// anything of it is changed: what is there is kept, and the manifest on disk says so; a release
/// gives it back.
class RegistryClaims {
  public:
    struct Claim {
        std::string directory;
        /// The manifest on disk must say more before anything is changed.
        bool unsaved = false;
        std::optional<Ownership> before;  ///< what the manifest said of the directory
    };

    RegistryClaims(files::CertsTree tree, StateDir state);

    /// Reads the manifest. On an error this must not be used: it would not know what is the user's.
    Result<void> load();

    /// By registry directory.
    const Manifest& all() const { return manifest_; }
    /// Null where the directory is not owned.
    const Ownership* find(const std::string& directory) const;

    /// Keeps what is there, and notes what is about to be owned. Nothing of it is on disk yet.
    Result<Claim> claim(const std::string& directory, const RegistryAction& action,
                        const ObservedRegistry& observed);
    /// The manifest with these claims, on disk before the first file is touched. On an error those
    /// that are unsaved are no longer claimed; what was owned before still is.
    Result<void> save(const std::vector<const Claim*>& claims);
    /// What is owned has come into its place.
    void notePlaced(const std::string& directory);
    /// Saves what was placed or released since, and drops the backups that nothing names any more.
    void flush();

    /// What a write is to keep of what it finds.
    files::CertsTree::Kept toKeep(const std::string& directory) const;
    /// The digest of the hosts.toml that a copy is kept of; empty where there is none.
    std::string keptDigest(const std::string& directory) const;
    /// The hosts.toml that was there before the daemon's first one; empty when there was none.
    std::string earlier(const std::string& directory) const;
    /// The same, of root's own alone: what is kept aside is of others, who may write it at any
    /// time.
    std::string earlierOfRoot(const std::string& directory) const;
    /// What led to registries before their hosts.toml did (legacy tables that go): where none was
    /// there before, it is given back as one.
    void keepReplaced(const std::vector<Registry>& replaced);

    /// Puts back what was there before, and gives the directory up.
    Result<void> release(const ReleaseHosts& action, const ObservedRegistry& observed);

  private:
    Result<void> keepEntry(const std::string& path, const ObservedEntry& entry, bool asItIs,
                           Ownership& ownership);
    Result<void> keepEarlier(const std::string& directory, bool writes,
                             const ObservedRegistry& observed, Ownership& ownership);
    Result<bool> claimAgain(const std::string& directory, bool writes,
                            const ObservedRegistry& observed, Ownership& ownership);
    Result<bool> settleAsides(const std::string& directory, Ownership& ownership);
    void dropBackups(const std::string& directory, Ownership& ownership) const;
    Result<void> discardUnclaimed(const std::string& path, const Ownership& ownership);
    Result<void> putBack(const BackedUpEntry& entry, const std::string& directory);
    std::string keptName(const std::string& path) const;

    files::CertsTree tree_;
    StateDir state_;
    Manifest manifest_;
    bool dirty_ = false;                 ///< more was released or placed than the one on disk says
    std::vector<std::string> obsolete_;  ///< backups to drop once the manifest is saved
};

}  // namespace nodemirror
