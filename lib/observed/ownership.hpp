#pragma once

#include <sys/types.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace nodemirror {

/// What was there before the daemon wrote, and how to put it back.
struct BackedUpEntry {
    enum class Type { File, Symlink, Aside };
    std::string path;  ///< relative to certs.d: docker.io/hosts.toml, or docker.io itself
    Type type = Type::File;
    mode_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    std::string stored;   ///< File: name in the state directory's backups; Symlink: its target;
                          ///< Aside: the name it was moved to, relative to certs.d
    std::string sha256;   ///< File
    bool legacy = false;  ///< no copy: made of the legacy tables that led to the registry before
};

/// The daemon's claim to a registry's hosts.toml.
struct Ownership {
    std::string directory;
    /// Of what it wrote, newest first. More than one, since a claim is recorded before the write.
    std::vector<std::string> digests;
    bool pruned = false;  ///< the file was taken away (unmanaged: prune), none was written
    /// What was claimed has come into its place. Until then what stands there is somebody's own,
    /// whatever the claim found.
    bool placed = true;
    std::vector<BackedUpEntry> backups;

    bool wrote(const std::string& sha256) const {
        return std::find(digests.begin(), digests.end(), sha256) != digests.end();
    }
};

/// By registry directory.
using Manifest = std::map<std::string, Ownership>;

}  // namespace nodemirror
