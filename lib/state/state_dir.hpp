#pragma once

#include "base/result.hpp"
#include "base/time.hpp"
#include "observed/config_edit_record.hpp"
#include "observed/ownership.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace nodemirror {

/// Restarts that the daemon asked for, by unit, oldest first.
using RestartHistory = std::map<std::string, std::vector<WallTime>>;

struct LastGood {
    std::string yaml;
    std::map<std::string, std::string> headerFiles;  ///< content by path; secret
};

/// What canary pulls have shown of a registry's hosts.toml.
struct ProofRecord {
    std::string knownGood;  ///< the text that last passed; may hold secrets; empty: none yet
    /// Of the declared text that it passed for, whose mirrors health may have put in another order.
    std::string declaredSha256;
    bool secret = false;         ///< it carries header values
    std::string rejectedSha256;  ///< of the text that failed where the one before it passed
    WallTime rejectedAt;
    std::string evidence;
};
using Proofs = std::map<std::string, ProofRecord>;  ///< by registry

/// The daemon's own state on disk (/var/lib/nodemirrord): what it owns, what it replaced, and what
/// it has to know after a restart. Every write is atomic and synced before it returns. A file that
/// cannot be understood is an error, never an empty state.
class StateDir {
  public:
    explicit StateDir(std::string path) : path_(std::move(path)) {}
    const std::string& path() const { return path_; }

    /// Creates the directory (mode 0700) and its backups.
    Result<void> ensure() const;

    /// Whether containerd's configuration file was ever seen.
    Result<bool> knowsConfig(const std::string& path) const;
    Result<void> rememberConfig(const std::string& path) const;

    Result<Manifest> loadManifest() const;
    Result<void> saveManifest(const Manifest& manifest) const;

    /// The name of the backup of a file with this path.
    static std::string backupName(std::string path);
    /// Where another content is kept under that name, it is kept beside it (.earlier-1 to -9).
    Result<void> storeBackup(const std::string& name, const std::string& content) const;
    Result<std::string> loadBackup(const std::string& name) const;
    void dropBackup(const std::string& name) const;

    /// The desired state that was last in force, with the contents of its header files; an empty
    /// yaml when there has been none.
    Result<LastGood> loadLastGood() const;
    Result<void> saveLastGood(const LastGood& lastGood) const;

    Result<RestartHistory> loadRestarts() const;
    Result<void> saveRestarts(const RestartHistory& history) const;

    /// Mirrors (by the key under which they are probed) that were down when it was last told.
    Result<std::set<std::string>> loadDownMirrors() const;
    Result<void> saveDownMirrors(const std::set<std::string>& keys) const;

    Result<Proofs> loadProofs() const;
    Result<void> saveProofs(const Proofs& proofs) const;

    /// The containerd process that was last seen to read certs.d (LoadedConfig); empty: none yet.
    Result<std::string> loadCertsReader() const;
    Result<void> saveCertsReader(const std::string& process) const;

    Result<ConfigEditRecord> loadConfigEdit() const;
    Result<void> saveConfigEdit(const ConfigEditRecord& record) const;

  private:
    std::string path_;
};

}  // namespace nodemirror
