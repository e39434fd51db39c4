#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "files/atomic_write.hpp"
#include "files/entries.hpp"
#include "observed/ownership.hpp"
#include "observed/registry_files.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror::files {

/// The certs.d tree on disk. Works below its own root by descriptor and never follows a symbolic
/// link in it, so that nothing planted there makes it read or write elsewhere. The root itself may
/// be a symbolic link.
class CertsTree {
  public:
    /// What a registry's place looked like; the same again means that nothing in it changed.
    struct Seal {
        Stamp directory;
        Stamp hosts;
        bool operator==(const Seal&) const = default;
    };
    /// Looks at many places without opening them.
    class Seals {
      public:
        explicit Seals(const CertsTree& tree);
        /// Nothing where it is not there, or changed so lately that the next change may not show.
        std::optional<Seal> of(const std::string& directory) const;

      private:
        UniqueFd root_;
    };

    /// A hosts.toml whose directory is not there yet.
    struct Fresh {
        std::string directory;
        std::string_view content;
        mode_t mode = 0644;
    };

    /// What is kept of what a write finds in its place.
    struct Kept {
        /// Under which names (nameToKeep) things are to be found later; empty: under any, or none.
        std::string directory;
        std::string hosts;
        /// Of a first write: the digest of the hosts.toml that a copy is kept of, or "" where there
        /// was none. Another that stands there by now is somebody's newer word: it stays, and is an
        /// error that passes.
        std::optional<std::string> first = std::nullopt;
    };

    explicit CertsTree(std::string root) : root_(std::move(root)) {}
    const std::string& root() const { return root_; }

    /// An Error where the root is another user's, or who could put another directory in its place:
    /// what is written and removed below it would be elsewhere.
    Result<void> refuseOthers() const;

    /// Creates the root (mode 0755) where it is missing.
    Result<void> ensureRoot() const;

    /// The names of what could be registry directories; hidden names, and those that things are
    /// kept under, are passed over.
    Result<std::vector<std::string>> list() const;

    /// Unknown where it cannot be looked at.
    Seen<ObservedRegistry> observe(const std::string& directory) const;

    /// A file (docker.io/hosts.toml, or docker.io itself) as it is now; an error that passes while
    /// somebody has it open for writing.
    Result<ObservedEntry> finishedFile(const std::string& path) const;

    /// Puts hosts.toml in place. A directory that is missing appears together with its file, never
    /// empty, for an empty one would hide _default. What stands in the way is exchanged in one
    /// step. What cannot be written anew as it was (a directory of another user, a hosts.toml of
    /// another user, a directory in the place of hosts.toml) is kept under a name of its own in the
    /// same instant: as `keep` says where that is free. Gives the name under which a directory was
    /// kept, or nothing.
    Result<std::string> write(const std::string& directory, std::string_view content, mode_t mode,
                              const Kept& keep) const;

    /// The same for many directories that are not there yet: each appears whole, but the disk is
    /// waited for together. Says for each whether it was done.
    std::vector<Result<void>> writeFresh(const std::vector<Fresh>& all) const;

    /// The text of a hosts.toml that is kept under another name, or in a directory that is; empty
    /// where it cannot be read.
    std::string keptText(const BackedUpEntry& entry) const;

    /// A free path for what is at `path`, a registry's directory or the hosts.toml in it.
    Result<std::string> nameToKeep(const std::string& path) const;

    /// Whether there is something under the name that an entry was to be kept under.
    Result<bool> isThere(const BackedUpEntry& entry) const;

    /// Removes what a crash left of ours under the name that an entry was to be kept under. True
    /// where there was such a thing.
    Result<bool> discardUnused(const BackedUpEntry& entry, const Ownership& owned) const;

    /// Removes hosts.toml, and the directory with it in one step where nothing else is in it. With
    /// `sha256` only a hosts.toml of that digest: another is somebody's newer word.
    Result<void> remove(const std::string& directory,
                        const std::optional<std::string>& sha256 = std::nullopt) const;

    /// Gives another user's registry directory, with nothing but a hosts.toml in it, the name that
    /// it is kept under (nameToKeep).
    Result<void> moveAside(const std::string& directory, const std::string& name) const;

    /// Puts back one entry as it was; `content` is that of a file.
    Result<void> restore(const BackedUpEntry& entry, std::string_view content) const;

    /// Removes temporary files and directories that a crash left behind.
    void removeLeftovers(const std::string& directory) const;

  private:
    Result<UniqueFd> open() const;
    std::string root_;
};

}  // namespace nodemirror::files
