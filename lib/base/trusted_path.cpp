#include "base/trusted_path.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <deque>
#include <string_view>

namespace nodemirror {

namespace {

constexpr int kMostLinks = 40;  // path_resolution(7)

/// Walks a path as the kernel does.
class Walk {
  public:
    explicit Walk(const std::string& path) { follow(path); }

    Result<void> toItsEnd(const std::string& path) {
        while (!rest_.empty()) {
            const std::string name = std::move(rest_.front());
            rest_.pop_front();
            if (name.empty() || name == ".") continue;
            if (const auto mine = step(path, name); !mine) return mine;
            if (!at_) return {};
        }
        return {};
    }

  private:
    void follow(const std::string& path) {
        const auto names = split(path, '/');
        rest_.insert(rest_.begin(), names.begin(), names.end());
        if (path.substr(0, 1) != "/") return;
        at_ = UniqueFd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        shown_.clear();
        closed_ = false;
    }

    Result<void> step(const std::string& path, const std::string& name) {
        struct stat directory {};
        UniqueFd next(::openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        struct stat entry {};
        if (!next || ::fstat(at_.get(), &directory) != 0 || ::fstat(next.get(), &entry) != 0) {
            at_.reset();
            return {};
        }
        if (name == "..") {
            closed_ = false;
            shown_ = shown_.substr(0, shown_.rfind('/'));
            at_ = std::move(next);
            return {};
        }
        if (!closed_ && isTheirs(directory, entry)) return refused(path, directory);
        closed_ = closed_ || !mayEnter(directory);
        if (!S_ISLNK(entry.st_mode)) {
            shown_ += "/" + name;
            at_ = std::move(next);
            return {};
        }
        char target[PATH_MAX];
        const ssize_t size = ::readlinkat(next.get(), "", target, sizeof target);
        if (size < 0 || ++links_ > kMostLinks)
            at_.reset();
        else
            follow(std::string(target, static_cast<size_t>(size)));
        return {};
    }

    static bool mayWrite(const struct stat& directory) {
        const bool group = (directory.st_mode & S_IWGRP) != 0 && directory.st_gid != 0;
        return group || (directory.st_mode & S_IWOTH) != 0;
    }

    static bool mayEnter(const struct stat& directory) {
        const bool group = (directory.st_mode & S_IXGRP) != 0 && directory.st_gid != 0;
        return directory.st_uid != 0 || group || (directory.st_mode & S_IXOTH) != 0;
    }

    static bool isTheirs(const struct stat& directory, const struct stat& entry) {
        if (directory.st_uid != 0) return true;
        const bool sticky = (directory.st_mode & S_ISVTX) != 0;
        return mayWrite(directory) && !(sticky && entry.st_uid == 0);
    }

    Error refused(const std::string& path, const struct stat& directory) const {
        const std::string shown = shown_.empty() ? "/" : shown_;
        if (directory.st_uid != 0)
            return {"read", path,
                    shown + ", on the way to it, belongs to uid " +
                        std::to_string(directory.st_uid) + ", who could put another in its place",
                    "chown root " + shown + ", or move the file below /etc/nodemirrord"};
        return {
            "read", path,
            "others may write " + shown + ", on the way to it, and could put another in its place",
            "chmod go-w " + shown + ", or move the file below /etc/nodemirrord"};
    }

    UniqueFd at_;
    std::deque<std::string> rest_;
    std::string shown_;  ///< where at_ is; empty: the root
    bool closed_ = false;
    int links_ = 0;
};

}  // namespace

Result<void> refuseOthersOnTheWay(const std::string& path) {
    if (::geteuid() != 0 || path.substr(0, 1) != "/") return {};
    return Walk(path).toItsEnd(path);
}

}  // namespace nodemirror
