#include "files/certs_tree.hpp"

#include "base/digest.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace nodemirror::files {

namespace {

using Type = ObservedEntry::Type;

constexpr char kHosts[] = "hosts.toml";
constexpr off_t kLargestHosts = 4 << 20;  // a hosts.toml of any sense is far smaller

Result<UniqueFd> openBelow(int parent, const std::string& name) {
    UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return Error::system("open the directory", name, errno);
    return fd;
}

int exchange(int fromDirectory, const std::string& from, int toDirectory, const std::string& to) {
    return static_cast<int>(::syscall(SYS_renameat2, fromDirectory, from.c_str(), toDirectory,
                                      to.c_str(), RENAME_EXCHANGE));
}

int renameNoReplace(int fromDirectory, const std::string& from, int toDirectory,
                    const std::string& to) {
    return static_cast<int>(::syscall(SYS_renameat2, fromDirectory, from.c_str(), toDirectory,
                                      to.c_str(), RENAME_NOREPLACE));
}

Type typeOf(mode_t mode) {
    if (S_ISREG(mode)) return Type::File;
    if (S_ISDIR(mode)) return Type::Directory;
    return S_ISLNK(mode) ? Type::Symlink : Type::Other;
}

std::string linkTarget(int parent, const std::string& name) {
    char buffer[4096];
    const ssize_t size = ::readlinkat(parent, name.c_str(), buffer, sizeof buffer);
    return size < 0 ? "" : std::string(buffer, static_cast<size_t>(size));
}

Result<std::string> readContent(int parent, const std::string& name) {
    const UniqueFd fd(
        ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return Error::system("read", name, errno);
    std::string out;
    char buffer[16384];
    while (true) {
        const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::system("read", name, errno);
        if (got == 0) return out;
        out.append(buffer, static_cast<size_t>(got));
        if (out.size() > static_cast<size_t>(kLargestHosts))
            return Error("read", name, "it is larger than 4 MiB");
    }
}

Result<ObservedEntry> observeEntry(int parent, const std::string& name) {
    ObservedEntry entry;
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return entry;
        return Error::system("look at", name, errno);
    }
    entry.type = typeOf(status.st_mode);
    entry.mode = status.st_mode & 07777;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    if (entry.type == Type::Symlink) entry.target = linkTarget(parent, name);
    if (entry.type != Type::File) return entry;
    entry.tooLarge = status.st_size > kLargestHosts;
    if (entry.tooLarge) return entry;
    auto content = readContent(parent, name);
    if (!content) return content.error();
    entry.content = std::move(*content);
    entry.sha256 = sha256Hex(entry.content);
    return entry;
}

bool isTemporary(const std::string& name) {
    return name.compare(0, kTemporaryPrefix.size(), kTemporaryPrefix) == 0;
}

Result<std::vector<std::string>> namesIn(int directory) {
    UniqueFd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!copy) return Error::system("list", "the directory", errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(copy.get()), ::closedir);
    if (!dir) return Error::system("list", "the directory", errno);
    copy.release();
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    if (errno != 0) return Error::system("list", "the directory", errno);
    std::sort(names.begin(), names.end());
    return names;
}

/// Removes a temporary entry that we made or exchanged out: a file, a link, or a directory with
/// only temporary files and a hosts.toml of ours in it.
void discard(int parent, const std::string& name) {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno != EISDIR) return;
    if (const auto directory = openBelow(parent, name))
        if (const auto names = namesIn(directory->get()))
            for (const auto& inner : *names)
                if (inner == kHosts || isTemporary(inner))
                    ::unlinkat(directory->get(), inner.c_str(), 0);
    ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

/// A name beside `name` that is free.
std::string asideName(int parent, const std::string& name) {
    for (int i = 1;; ++i) {
        std::string candidate = name + ".aside-" + std::to_string(i);
        struct stat status {};
        if (::fstatat(parent, candidate.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            return candidate;
    }
}

/// Deals with what an exchange took out: a directory that is not empty is kept under a name of its
/// own, which is returned.
Result<std::string> setAside(int parent, const std::string& taken, const std::string& name) {
    struct stat status {};
    if (::fstatat(parent, taken.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::string();
    const bool directory = S_ISDIR(status.st_mode);
    if (::unlinkat(parent, taken.c_str(), directory ? AT_REMOVEDIR : 0) == 0) return std::string();
    const std::string aside = asideName(parent, name);
    if (::renameat(parent, taken.c_str(), parent, aside.c_str()) != 0)
        return Error::system("set aside", name, errno);
    return aside;
}

/// Makes a directory with a complete hosts.toml under a temporary name.
Result<std::string> makeDirectory(int root, std::string_view content, mode_t mode) {
    const std::string temporary = temporaryName();
    if (::mkdirat(root, temporary.c_str(), 0700) != 0)
        return Error::system("create a directory in", "certs.d", errno);
    const auto fill = [&]() -> Result<void> {
        const auto directory = openBelow(root, temporary);
        if (!directory) return directory.error();
        Access access;
        access.mode = mode;
        if (const auto written = writeNew(directory->get(), kHosts, content, access); !written)
            return written;
        if (::fchmod(directory->get(), 0755) != 0)
            return Error::system("set the mode of", "the directory", errno);
        return syncDirectory(directory->get());
    };
    if (const auto filled = fill(); !filled) {
        discard(root, temporary);
        return filled.error();
    }
    return temporary;
}

/// Puts a whole new directory in the place of nothing, of a file or of a symbolic link.
Result<std::string> placeDirectory(int root, const std::string& directory, std::string_view content,
                                   mode_t mode) {
    const auto temporary = makeDirectory(root, content, mode);
    if (!temporary) return temporary.error();
    std::string aside;
    if (renameNoReplace(root, *temporary, root, directory) != 0) {
        if (exchange(root, *temporary, root, directory) != 0) {
            const int code = errno;
            discard(root, *temporary);
            return Error::system("put in place", directory, code);
        }
        auto kept = setAside(root, *temporary, directory);
        if (!kept) return kept.error();
        aside = std::move(*kept);
    }
    if (const auto synced = syncDirectory(root); !synced) return synced.error();
    return aside;
}

/// hosts.toml is a directory: exchanged for a file in one step.
Result<std::string> replaceInnerDirectory(int parent, const std::string& directory,
                                          std::string_view content, const Access& access) {
    const std::string temporary = temporaryName();
    if (const auto written = writeNew(parent, temporary, content, access); !written)
        return written.error();
    if (exchange(parent, temporary, parent, kHosts) != 0) {
        const int code = errno;
        ::unlinkat(parent, temporary.c_str(), 0);
        return Error::system("put in place", directory + "/" + kHosts, code);
    }
    const auto aside = setAside(parent, temporary, kHosts);
    if (!aside) return aside;
    if (const auto synced = syncDirectory(parent); !synced) return synced.error();
    return aside->empty() ? std::string() : directory + "/" + *aside;
}

/// A directory that others may write would let them replace the file in it.
Result<void> closeToOthers(int directory, const std::string& name) {
    struct stat status {};
    if (::fstat(directory, &status) != 0) return Error::system("look at", name, errno);
    if (status.st_uid != ::geteuid() && ::fchown(directory, ::geteuid(), ::getegid()) != 0)
        return Error::system("set the owner of", name, errno);
    if (!closedToOthers(status.st_mode & 07777) && ::fchmod(directory, 0755) != 0)
        return Error::system("set the mode of", name, errno);
    return {};
}

Error within(const std::string& directory, const Error& error) {
    return {error.context(), directory + "/" + error.object(), error.reason(), error.remedy()};
}

}  // namespace

Result<UniqueFd> CertsTree::open() const { return openDirectory(root_); }

Result<void> CertsTree::ensureRoot() const {
    struct stat status {};
    if (::stat(root_.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) return {};
        return Error("use", root_, "it is no directory",
                     "move it away; nodemirrord then creates the directory");
    }
    for (size_t slash = root_.find('/', 1);; slash = root_.find('/', slash + 1)) {
        const std::string part = root_.substr(0, slash);
        if (::mkdir(part.c_str(), 0755) == 0)
            ::chmod(part.c_str(), 0755);
        else if (errno != EEXIST)
            return Error::system("create", part, errno);
        if (slash == std::string::npos) return {};
    }
}

Result<std::vector<std::string>> CertsTree::list() const {
    const auto root = open();
    if (!root) return root.error();
    auto names = namesIn(root->get());
    if (!names) return names.error();
    names->erase(std::remove_if(names->begin(), names->end(),
                                [](const std::string& name) { return name.front() == '.'; }),
                 names->end());
    return names;
}

Seen<ObservedRegistry> CertsTree::observe(const std::string& directory) const {
    using Answer = Seen<ObservedRegistry>;
    struct stat status {};
    // Without the tree there is no registry in it: that is known.
    if (::stat(root_.c_str(), &status) != 0 && errno == ENOENT) return Answer::known({});
    const auto root = open();
    if (!root) return Answer::unknown(root.error().text());
    ObservedRegistry out;
    auto entry = observeEntry(root->get(), directory);
    if (!entry) return Answer::unknown(entry.error().text());
    out.directory = std::move(*entry);
    if (out.directory.type != Type::Directory) return Answer::known(std::move(out));
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return Answer::unknown(parent.error().text());
    auto hosts = observeEntry(parent->get(), kHosts);
    if (!hosts) return Answer::unknown(within(directory, hosts.error()).text());
    out.hosts = std::move(*hosts);
    return Answer::known(std::move(out));
}

Result<std::string> CertsTree::write(const std::string& directory, std::string_view content,
                                     mode_t mode) const {
    const auto root = open();
    if (!root) return root.error();
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return placeDirectory(root->get(), directory, content, mode);
    if (const auto closed = closeToOthers(parent->get(), directory); !closed) return closed.error();
    Access access;
    access.mode = mode;
    const auto written = writeAtomically(parent->get(), kHosts, content, access);
    if (written) return std::string();
    struct stat status {};
    const bool inTheWay = ::fstatat(parent->get(), kHosts, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                          S_ISDIR(status.st_mode);
    if (!inTheWay) return within(directory, written.error());
    return replaceInnerDirectory(parent->get(), directory, content, access);
}

Result<void> CertsTree::remove(const std::string& directory) const {
    const auto root = open();
    if (!root) return root.error();
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return {};
    const auto names = namesIn(parent->get());
    if (!names) return names.error();
    const bool alone = std::all_of(names->begin(), names->end(), [](const std::string& name) {
        return name == kHosts || isTemporary(name);
    });
    if (alone) {
        const std::string temporary = temporaryName();
        if (::renameat(root->get(), directory.c_str(), root->get(), temporary.c_str()) != 0)
            return Error::system("remove", directory, errno);
        discard(root->get(), temporary);
        return syncDirectory(root->get());
    }
    if (::unlinkat(parent->get(), kHosts, 0) != 0 && errno != ENOENT)
        return Error::system("remove", directory + "/" + kHosts, errno);
    return syncDirectory(parent->get());
}

Result<void> CertsTree::restore(const BackedUpEntry& entry, std::string_view content) const {
    const auto root = open();
    if (!root) return root.error();
    const size_t slash = entry.path.find('/');
    UniqueFd inner;
    if (slash != std::string::npos) {
        const std::string directory = entry.path.substr(0, slash);
        const bool made = ::mkdirat(root->get(), directory.c_str(), 0755) == 0;
        auto opened = openBelow(root->get(), directory);
        if (!opened) return opened.error();
        if (made && ::fchmod(opened->get(), 0755) != 0)
            return Error::system("set the mode of", directory, errno);
        inner = std::move(*opened);
    }
    const int parent = inner ? inner.get() : root->get();
    const std::string name = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
    if (entry.type == BackedUpEntry::Type::File) {
        Access access;
        access.mode = entry.mode;
        access.uid = entry.uid;
        access.gid = entry.gid;
        return writeAtomically(parent, name, content, access);
    }
    if (entry.type == BackedUpEntry::Type::Aside) {
        const std::string from = entry.stored.substr(entry.stored.rfind('/') + 1);
        ::unlinkat(parent, name.c_str(), 0);
        if (::renameat(parent, from.c_str(), parent, name.c_str()) != 0)
            return Error::system("put back", entry.path, errno);
        return syncDirectory(parent);
    }
    const std::string temporary = temporaryName();
    if (::symlinkat(entry.stored.c_str(), parent, temporary.c_str()) != 0)
        return Error::system("put back", entry.path, errno);
    if (::renameat(parent, temporary.c_str(), parent, name.c_str()) != 0) {
        const int code = errno;
        ::unlinkat(parent, temporary.c_str(), 0);
        return Error::system("put back", entry.path, code);
    }
    return syncDirectory(parent);
}

void CertsTree::removeLeftovers(const std::string& directory) const {
    const auto root = open();
    if (!root) return;
    UniqueFd inner;
    if (!directory.empty()) {
        auto opened = openBelow(root->get(), directory);
        if (!opened) return;
        inner = std::move(*opened);
    }
    const int parent = inner ? inner.get() : root->get();
    const auto names = namesIn(parent);
    if (!names) return;
    for (const auto& name : *names)
        if (isTemporary(name)) discard(parent, name);
}

}  // namespace nodemirror::files
