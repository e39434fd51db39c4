#pragma once

#include "files/atomic_write.hpp"

#include <string>

/// How a registry's directory comes into place whole, and what stood in its place is kept.
namespace nodemirror::files {

inline constexpr char kHosts[] = "hosts.toml";
/// How often a directory that was given to another user is replaced: what it was each time stays.
inline constexpr int kMostAside = 3;

/// Removes a temporary entry that we made or exchanged out: a file, a link, or a directory with
/// only temporary files and a hosts.toml of ours in it.
void discard(int parent, const std::string& name);

/// Removes a directory of ours that took, or was to take, the place of `original`: its hosts.toml
/// and what both have. It stays where it has anything else. An Error: not all of that is gone yet.
Result<void> discardCarried(int root, const std::string& made, const std::string& original);

/// Deals with what an exchange took out: a directory that is not empty is kept under a name of its
/// own, which is returned.
Result<std::string> setAside(int parent, const std::string& taken, const std::string& name);

/// Makes a directory with a complete hosts.toml under a temporary name, and with what else is in
/// `earlier` where that is a directory.
Result<std::string> makeDirectory(int root, std::string_view content, mode_t mode,
                                  Durable durable = Durable::Now, int earlier = -1);

/// Waits for the disk to have what makeDirectory made for later.
Result<void> syncMade(int root, const std::string& temporary);

/// Puts a whole new directory in the place of nothing, of a file or of a symbolic link.
Result<std::string> placeDirectory(int root, const std::string& directory, std::string_view content,
                                   mode_t mode);

/// Replaces a directory of another user, who could replace the file in it, and keeps it as `keepAs`
/// while that name is free. To take it over in place would need CAP_CHOWN; a new one in its place
/// needs nothing. Gives the name under which it is kept.
Result<std::string> replaceForeign(int root, int parent, const std::string& directory,
                                   std::string_view content, mode_t mode,
                                   const std::string& keepAs);

}  // namespace nodemirror::files
