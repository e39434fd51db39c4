#include "files/tree_watch.hpp"

#include "files/entries.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

namespace nodemirror::files {

namespace {

constexpr unsigned kTreeMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                               IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF |
                               IN_MOVE_SELF | IN_ONLYDIR;
constexpr unsigned kAboveMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr unsigned kFilesMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                IN_ONLYDIR;

Result<UniqueFd> openInotify() {
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd)
        return Error("watch files", "", "inotify is not available",
                     "raise fs.inotify.max_user_instances");
    return fd;
}

std::string parentOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string nameOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Calls `event(watch, mask, name)` for what is queued: as much as a queue holds, and not for ever
/// where somebody fills it as fast. What is left makes the descriptor readable again.
template <class Handler>
void readEvents(int fd, Handler event) {
    alignas(inotify_event) char buffer[65536];
    for (int reads = 0; reads < 64; ++reads) {
        const ssize_t size = ::read(fd, buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return;
        for (ssize_t at = 0; at < size;) {
            const auto* raw = reinterpret_cast<const inotify_event*>(buffer + at);
            event(raw->wd, raw->mask, raw->len > 0 ? std::string(raw->name) : std::string());
            at += static_cast<ssize_t>(sizeof(inotify_event) + raw->len);
        }
    }
}

/// Says in `limited` why what is there cannot be watched.
int addWatchTo(int fd, const std::string& path, unsigned mask, std::string& limited) {
    const int watch = ::inotify_add_watch(fd, path.c_str(), mask);
    if (watch >= 0 || errno == ENOENT || errno == ENOTDIR) return watch;
    limited = errno == ENOSPC ? "fs.inotify.max_user_watches is too small to watch every directory"
                              : Error::system("watch", path, errno).brief();
    return watch;
}

}  // namespace

Result<TreeWatch> TreeWatch::open(const std::string& root) {
    auto fd = openInotify();
    if (!fd) return fd.error();
    TreeWatch watch(std::move(*fd), root);
    watch.watchAgain();
    return watch;
}

int TreeWatch::addWatch(const std::string& path, unsigned mask) {
    return addWatchTo(fd_.get(), path, mask, limited_);
}

void TreeWatch::watchDirectory(const std::string& name) {
    const std::string path = root_ + "/" + name;
    const int watch = addWatch(path, kTreeMask | IN_DONT_FOLLOW);
    if (watch < 0) return;
    directories_[watch] = name;
    watches_[name] = watch;
}

void TreeWatch::watchAgain() {
    limited_.clear();
    std::set<int> before{rootWatch_};
    for (const auto& [watch, path] : above_) before.insert(watch);
    for (const auto& [watch, name] : directories_) before.insert(watch);
    above_.clear();
    directories_.clear();
    watches_.clear();
    for (std::string path = root_; path != "/" && path != ".";) {
        path = parentOf(path);
        const int watch = addWatch(path, kAboveMask);
        if (watch >= 0) above_[watch] = path;
        // One directory that is there is enough: what is missing below it will be created in it.
        if (watch >= 0) break;
    }
    rootWatch_ = addWatch(root_, kTreeMask);
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(
        rootWatch_ < 0 ? nullptr : ::opendir(root_.c_str()),
        [](DIR* open) { return open != nullptr ? ::closedir(open) : 0; });
    if (rootWatch_ >= 0 && !dir) limited_ = Error::system("list", root_, errno).brief();
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            watchDirectory(entry->d_name);
    // What was moved away or mounted over is watched no longer.
    for (const int watch : before)
        if (watch != rootWatch_ && above_.count(watch) == 0 && directories_.count(watch) == 0)
            ::inotify_rm_watch(fd_.get(), watch);
}

void TreeWatch::handle(int watch, unsigned mask, const std::string& name, Changes& changes) {
    if ((mask & IN_Q_OVERFLOW) != 0) {
        changes.everything = true;
        return;
    }
    if (const auto above = above_.find(watch); above != above_.end()) {
        const std::string prefix = above->second == "/" ? "/" + name : above->second + "/" + name;
        const bool onTheWay = name.empty() || root_ == prefix ||
                              root_.compare(0, prefix.size() + 1, prefix + "/") == 0;
        if (onTheWay) changes.everything = true;
        return;
    }
    if (watch == rootWatch_) {
        if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
            rootWatch_ = -1;
            changes.everything = true;
        } else if (name.empty()) {
            changes.everything = true;  // its own owner or mode
        } else if (name.front() != '.') {
            if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0) watchDirectory(name);
            changes.directories.insert(name);
        }
        return;
    }
    const auto found = directories_.find(watch);
    if (found == directories_.end()) return;
    const std::string directory = found->second;
    if ((mask & IN_IGNORED) != 0) {
        if (const auto current = watches_.find(directory);
            current != watches_.end() && current->second == watch)
            watches_.erase(current);
        directories_.erase(found);
    }
    if (!isTemporary(name)) changes.directories.insert(directory);
}

TreeWatch::Changes TreeWatch::drain() {
    Changes changes;
    readEvents(fd_.get(), [&](int watch, unsigned mask, const std::string& name) {
        handle(watch, mask, name, changes);
    });
    if (changes.everything) watchAgain();
    return changes;
}

bool TreeWatch::moved() {
    const int watch = addWatch(root_, kTreeMask);  // the same one for the same directory
    if (watch == rootWatch_) return false;
    watchAgain();
    return true;
}

UniqueFd openMountTable() { return UniqueFd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)); }

Result<FilesWatch> FilesWatch::open() {
    auto fd = openInotify();
    if (!fd) return fd.error();
    return FilesWatch(std::move(*fd));
}

void FilesWatch::setFiles(const std::vector<std::string>& files) {
    files_ = files;
    rebuild();
}

void FilesWatch::rebuild() {
    limited_.clear();
    std::map<int, std::set<std::string>> fresh;
    const auto add = [&](const std::string& directory, const std::string& name) {
        const int watch = addWatchTo(fd_.get(), directory, kFilesMask, limited_);
        if (watch >= 0) fresh[watch].insert(name);
    };
    // Every name on the way to a file is watched where it stands, and every link is followed: a
    // ConfigMap mount swaps ..data, others swap a directory above it.
    constexpr int kMostLinks = 40;  // as the kernel follows
    for (const auto& file : files_) {
        std::string path = file;
        for (int links = 0; links < kMostLinks && !path.empty(); ++links) {
            std::string next;
            for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
                const std::string prefix = path.substr(0, slash);
                struct stat status {};
                const bool there = ::lstat(prefix.c_str(), &status) == 0;
                const bool link = there && S_ISLNK(status.st_mode);
                if (!there || link || slash == std::string::npos)
                    add(parentOf(prefix), nameOf(prefix));
                if (link) {
                    char buffer[PATH_MAX];
                    const ssize_t size = ::readlink(prefix.c_str(), buffer, sizeof buffer);
                    const std::string target(buffer,
                                             static_cast<size_t>(std::max<ssize_t>(size, 0)));
                    next = target.substr(0, 1) == "/" ? target : parentOf(prefix) + "/" + target;
                    if (slash != std::string::npos) next += path.substr(slash);
                }
                if (!there || link || slash == std::string::npos) break;
            }
            path = std::move(next);
        }
    }
    for (const auto& [watch, names] : names_)
        if (!fresh.count(watch)) ::inotify_rm_watch(fd_.get(), watch);
    names_ = std::move(fresh);
}

bool FilesWatch::moved() {
    const auto before = names_;
    rebuild();
    return names_ != before;
}

bool FilesWatch::drain() {
    bool changed = false;
    readEvents(fd_.get(), [&](int watch, unsigned mask, const std::string& name) {
        if ((mask & IN_Q_OVERFLOW) != 0) changed = true;
        const auto found = names_.find(watch);
        if (found != names_.end() && (name.empty() || found->second.count(name) > 0))
            changed = true;
    });
    if (changed) rebuild();
    return changed;
}

}  // namespace nodemirror::files
