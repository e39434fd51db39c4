#pragma once

#include "base/result.hpp"

#include <sys/types.h>

#include <string>

namespace nodemirror {

/// What stands at a path, never following a symbolic link.
struct ObservedEntry {
    enum class Type { Absent, File, Directory, Symlink, Other };
    Type type = Type::Absent;
    mode_t mode = 0;  ///< permission bits
    uid_t uid = 0;
    gid_t gid = 0;
    std::string content;    ///< Type::File, unless it is too large
    bool tooLarge = false;  ///< larger than any hosts.toml of sense: not read
    /// Another user's, who lets nobody read it (or, a directory, look into it).
    bool unreadable = false;
    std::string sha256;  ///< of content
    std::string target;  ///< Type::Symlink
};

/// A directory's mode with which its owner can use it and nobody else can write it.
inline bool closedToOthers(mode_t mode) { return (mode & 0700) == 0700 && (mode & 0022) == 0; }

/// A registry's place under certs.d: the directory and the hosts.toml in it.
struct ObservedRegistry {
    ObservedEntry directory;  ///< certs.d/<name>; content only where it is a file
    ObservedEntry hosts;      ///< certs.d/<name>/hosts.toml; Absent when the directory is none
};

}  // namespace nodemirror
