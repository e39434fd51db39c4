#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "files/atomic_write.hpp"
#include "files/entries.hpp"
#include "observed/ownership.hpp"
#include "observed/registry_files.hpp"

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

    explicit CertsTree(std::string root) : root_(std::move(root)) {}
    const std::string& root() const { return root_; }

    /// Creates the root (mode 0755) where it is missing.
    Result<void> ensureRoot() const;

    /// The names of what could be registry directories; hidden names are passed over.
    Result<std::vector<std::string>> list() const;

    /// Unknown where it cannot be looked at.
    Seen<ObservedRegistry> observe(const std::string& directory) const;

    /// Puts hosts.toml in place. A directory that is missing appears together with its file, never
    /// empty, for an empty one would hide _default. What stands in the way is exchanged in one
    /// step; a directory that is not empty, or is another user's, is set aside, and its new name
    /// (relative to the root) is returned so that it can be put back. A hosts.toml of another user
    /// is kept in the same directory under the name `keepAs`, where one is given.
    Result<std::string> write(const std::string& directory, std::string_view content, mode_t mode,
                              const std::string& keepAs = "") const;

    /// The text of a hosts.toml that is kept in its directory; empty where it cannot be read.
    std::string keptText(const BackedUpEntry& entry) const;

    /// A free name to keep the hosts.toml of a directory under.
    std::string nameToKeep(const std::string& directory) const;

    /// The same for many directories that are not there yet: each appears whole, but the disk is
    /// waited for together. Says for each whether it was done.
    std::vector<Result<void>> writeFresh(const std::vector<Fresh>& all) const;

    /// Removes hosts.toml, and the directory with it in one step where nothing else is in it.
    Result<void> remove(const std::string& directory) const;

    /// Puts back one entry as it was; `content` is that of a file.
    Result<void> restore(const BackedUpEntry& entry, std::string_view content) const;

    /// Removes temporary files and directories that a crash left behind.
    void removeLeftovers(const std::string& directory) const;

  private:
    Result<UniqueFd> open() const;
    std::string root_;
};

}  // namespace nodemirror::files
