#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace nodemirror::files {

/// Watches a certs.d tree with inotify(7): the root, every directory in it, and the directories
/// above the root as far as is needed to see the root come and go. Reads no clock and blocks on
/// nothing: whoever owns it waits for fd() to become readable and then calls drain().
class TreeWatch {
  public:
    /// What happened since the last drain.
    struct Changes {
        std::set<std::string> directories;  ///< registry directories to look at again
        bool everything = false;            ///< the queue overflowed or the root came or went
    };

    static Result<TreeWatch> open(const std::string& root);

    int fd() const { return fd_.get(); }
    Changes drain();
    /// To be called when mounts changed, which inotify does not tell: whether something else stands
    /// at the root now. It is watched from then on.
    bool moved();
    /// Sets all watches anew. What happened before is to be looked for by whoever calls.
    void watchAgain();

    /// Why something could not be watched (fs.inotify.max_user_watches, for one); empty if all is.
    const std::string& limited() const { return limited_; }

  private:
    explicit TreeWatch(UniqueFd fd, std::string root)
        : fd_(std::move(fd)), root_(std::move(root)) {}
    int addWatch(const std::string& path, unsigned mask);
    void watchDirectory(const std::string& name);
    void handle(int watch, unsigned mask, const std::string& name, Changes& changes);

    UniqueFd fd_;
    std::string root_;
    int rootWatch_ = -1;
    std::map<int, std::string> above_;        ///< watches above the root, by descriptor
    std::map<int, std::string> directories_;  ///< watches of registry directories
    std::map<std::string, int> watches_;      ///< the same, by name
    std::string limited_;
};

/// The table of mounts: readable with priority (EPOLLPRI) whenever it changed (proc(5)).
UniqueFd openMountTable();

/// Watches the directories of some files, to tell when one of them may have changed: editors'
/// renames, symlink swaps (..data) and copies alike.
class FilesWatch {
  public:
    static Result<FilesWatch> open();
    int fd() const { return fd_.get(); }
    /// The files from now on. Symbolic links are followed, and the directories on their way
    /// watched.
    void setFiles(const std::vector<std::string>& files);
    /// True when one of the files may have changed.
    bool drain();
    const std::string& limited() const { return limited_; }
    /// As of TreeWatch: whether a directory on the way to a file is another one now.
    bool moved();

  private:
    explicit FilesWatch(UniqueFd fd) : fd_(std::move(fd)) {}
    void rebuild();

    UniqueFd fd_;
    std::vector<std::string> files_;
    std::string limited_;
    std::map<int, std::set<std::string>> names_;  ///< watch to the names in it that matter
};

}  // namespace nodemirror::files
