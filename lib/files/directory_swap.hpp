#pragma once

#include "files/atomic_write.hpp"

#include <string>

/// How a registry's directory comes into place whole, and what stood in its place is kept.
namespace nodemirror::files {

inline constexpr char kHosts[] = "hosts.toml";

/// Removes a temporary entry that we made or exchanged out: a file, a link, or a directory with
/// only temporary files and a hosts.toml of ours in it.
void discard(int parent, const std::string& name);

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

/// Replaces a directory of another user, who could replace the file in it. To take it over in place
/// would need CAP_CHOWN; a new one in its place needs nothing.
Result<std::string> replaceForeign(int root, int parent, const std::string& directory,
                                   std::string_view content, mode_t mode);

}  // namespace nodemirror::files
