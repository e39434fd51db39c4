#include "base/trusted_path.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <filesystem>
#include <system_error>

namespace nodemirror {

namespace {

constexpr int kMostLinks = 40;  // path_resolution(7)

/// Of an access list the bits of the group are no more than its mask.
bool hasAccessList(const std::string& path) {
    if (::getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) >= 0) return true;
    return errno != ENODATA && errno != ENOTSUP && errno != ENOENT;
}

bool mayOthers(mode_t ofGroup, mode_t ofAll, const std::string& path, const struct stat& status) {
    if ((status.st_mode & ofAll) != 0) return true;
    return (status.st_mode & ofGroup) != 0 && (status.st_gid != 0 || hasAccessList(path));
}

/// Walks a path as the kernel does.
class Walk {
  public:
    Walk(const std::string& path, std::string otherwise) : otherwise_(std::move(otherwise)) {
        follow(path);
    }

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
        struct stat entry {};
        UniqueFd next(::openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        const int code = next ? 0 : errno;
        const bool known = ::fstat(at_.get(), &directory) == 0;
        if (!known || !next || ::fstat(next.get(), &entry) != 0) {
            // What others have taken away they may put back.
            if (known && !closed_ && isOpenToOthers(directory)) return refused(path, directory);
            if (code == EMFILE || code == ENFILE || code == ENOMEM)
                return Error::system("look at the way to", path, code);
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
        if (S_ISLNK(entry.st_mode) && entry.st_uid != 0) return madeBy(entry.st_uid, path, name);
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

    std::string place() const { return "/proc/self/fd/" + std::to_string(at_.get()); }

    bool mayEnter(const struct stat& directory) const {
        return directory.st_uid != 0 || mayOthers(S_IXGRP, S_IXOTH, place(), directory);
    }

    bool isOpenToOthers(const struct stat& directory) const {
        return directory.st_uid != 0 || mayOthersWrite(place(), directory);
    }

    bool isTheirs(const struct stat& directory, const struct stat& entry) const {
        const bool sticky = directory.st_uid == 0 && (directory.st_mode & S_ISVTX) != 0;
        return isOpenToOthers(directory) && !(sticky && entry.st_uid == 0);
    }

    Error madeBy(uid_t uid, const std::string& path, const std::string& name) const {
        const std::string link = shown_ + "/" + name;
        return Error::passing(
            "read", path,
            link + ", on the way to it, is a link that uid " + std::to_string(uid) + " made",
            "chown -h root " + link + " if it is to lead there, or " + otherwise_);
    }

    Error refused(const std::string& path, const struct stat& directory) const {
        const std::string shown = shown_.empty() ? "/" : shown_;
        if (directory.st_uid != 0)
            return Error::passing("read", path,
                                  shown + ", on the way to it, belongs to uid " +
                                      std::to_string(directory.st_uid) +
                                      ", who could put another in its place",
                                  "chown root " + shown + ", or " + otherwise_);
        const bool meant = (directory.st_mode & S_ISVTX) != 0;  // as /tmp is
        return Error::passing(
            "read", path,
            "others may write " + shown + ", on the way to it, and could put another in its place",
            (meant ? "" : "chmod go-w " + shown + ", or ") + otherwise_);
    }

    std::string otherwise_;
    UniqueFd at_;
    std::deque<std::string> rest_;
    std::string shown_;  ///< where at_ is; empty: the root
    bool closed_ = false;
    int links_ = 0;
};

}  // namespace

bool mayOthersWrite(const std::string& path, const struct stat& status) {
    return mayOthers(S_IWGRP, S_IWOTH, path, status);
}

Result<void> refuseOthersOnTheWay(const std::string& path, const std::string& otherwise) {
    if (::geteuid() != 0) return {};
    std::error_code gone;  // of the working directory: nothing is opened from there
    return Walk(std::filesystem::absolute(path, gone), otherwise).toItsEnd(path);
}

}  // namespace nodemirror
