#include "files/certs_tree.hpp"

#include "base/trusted_path.hpp"
#include "files/directory_swap.hpp"
#include "files/entries.hpp"
#include "files/placement.hpp"
#include "hosts_toml/directories.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace nodemirror::files {

namespace {

using Type = ObservedEntry::Type;

/// A directory that others may write would let them replace the file in it.
Result<void> closeToOthers(int directory, const struct stat& status, const std::string& name) {
    if (!closedToOthers(status.st_mode & 07777) && ::fchmod(directory, 0755) != 0)
        return Error::system("set the mode of", name, errno);
    return {};
}

}  // namespace

CertsTree::Seals::Seals(const CertsTree& tree) {
    if (auto root = tree.open()) root_ = std::move(*root);
}

std::optional<CertsTree::Seal> CertsTree::Seals::of(const std::string& directory) const {
    if (!root_) return std::nullopt;
    const auto place = stampOf(root_.get(), directory);
    if (!place || !S_ISDIR(place->mode)) return std::nullopt;
    const auto hosts = stampOf(root_.get(), directory + "/" + kHosts);
    if (!hosts || isFresh(*place) || isFresh(*hosts)) return std::nullopt;
    return Seal{*place, *hosts};
}

Result<UniqueFd> CertsTree::open() const { return openDirectory(root_); }

Result<void> CertsTree::refuseOthers() const {
    const auto ours = refuseOthersOnTheWay(root_, "let certs.d be where only root may write");
    if (!ours) return Error("use", root_, ours.error().reason(), ours.error().remedy());
    struct stat status {};
    if (::stat(root_.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
        status.st_uid != ::geteuid())
        return Error("use", root_, "it belongs to uid " + std::to_string(status.st_uid),
                     "chown root:root " + root_);
    return {};
}

Result<void> CertsTree::ensureRoot() const {
    struct stat status {};
    if (::stat(root_.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) {
            const auto directory = openDirectory(root_);
            if (!directory) return directory.error();
            return closeToOthers(directory->get(), status, root_);
        }
        return Error("use", root_, "it is no directory",
                     "move it away; nodemirrord then creates the directory");
    }
    for (size_t slash = root_.find('/', 1);; slash = root_.find('/', slash + 1)) {
        const std::string part = root_.substr(0, slash);
        if (::mkdir(part.c_str(), 0755) == 0)
            ::chmod(part.c_str(), 0755);
        else if (errno != EEXIST)
            return Error::system("create", part, errno).at(part);
        if (slash == std::string::npos) return {};
    }
}

Result<std::vector<std::string>> CertsTree::list() const {
    const auto root = open();
    if (!root) return root.error();
    auto names = namesIn(root->get(), SIZE_MAX - 1);
    if (!names) return names.error();
    names->erase(std::remove_if(
                     names->begin(), names->end(),
                     [](const std::string& name) { return name.front() == '.' || isAside(name); }),
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
    out.directory.unreadable =
        !parent && isDenied(parent.error()) && out.directory.uid != ::geteuid();
    if (out.directory.unreadable) return Answer::known(std::move(out));
    if (!parent) return Answer::unknown(parent.error().text());
    auto hosts = observeEntry(parent->get(), kHosts);
    if (!hosts) return Answer::unknown(within(directory, hosts.error()).text());
    out.hosts = std::move(*hosts);
    return Answer::known(std::move(out));
}

Result<ObservedEntry> CertsTree::finishedFile(const std::string& path) const {
    const auto root = open();
    if (!root) return root.error();
    const size_t slash = path.find('/');
    if (slash == std::string::npos) return observeFile(root->get(), path, Unfinished::Refuse);
    const std::string directory = path.substr(0, slash);
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return parent.error();
    auto file = observeFile(parent->get(), path.substr(slash + 1), Unfinished::Refuse);
    return file ? file : Result<ObservedEntry>(within(directory, file.error()));
}

Result<std::string> CertsTree::write(const std::string& directory, std::string_view content,
                                     mode_t mode, const Kept& keep) const {
    const auto root = open();
    if (!root) return root.error();
    const auto type = typeOf(root->get(), directory);
    if (!type) return type.error();
    if (*type != Type::Directory) return placeDirectory(root->get(), directory, content, mode);
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return parent.error();
    struct stat status {};
    if (::fstat(parent->get(), &status) != 0) return Error::system("look at", directory, errno);
    if (status.st_uid != ::geteuid())
        return replaceForeign(root->get(), parent->get(), directory, content, mode, keep.directory);
    if (const auto closed = closeToOthers(parent->get(), status, directory); !closed)
        return closed.error();
    return placeHosts(parent->get(), directory, content, mode,
                      keep.hosts.substr(keep.hosts.find('/') + 1), keep.first);
}

std::vector<Result<void>> CertsTree::writeFresh(const std::vector<Fresh>& all) const {
    std::vector<Result<void>> out(all.size());
    const auto root = open();
    if (!root) return std::vector<Result<void>>(all.size(), root.error());
    std::vector<std::string> made(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
        auto temporary = makeDirectory(root->get(), all[i].content, all[i].mode, Durable::Later);
        if (temporary)
            made[i] = std::move(*temporary);
        else
            out[i] = temporary.error();
    }
    // Made all before the first is waited for, they reach the disk together.
    for (size_t i = 0; i < all.size(); ++i)
        if (out[i]) out[i] = syncMade(root->get(), made[i]);
    for (size_t i = 0; i < all.size(); ++i) {
        if (out[i] && renameNoReplace(root->get(), made[i], all[i].directory) != 0)
            out[i] = Error::system("put in place", all[i].directory, errno);
        if (!out[i] && !made[i].empty()) discard(root->get(), made[i]);
    }
    if (const auto synced = syncDirectory(root->get()); !synced)
        return std::vector<Result<void>>(all.size(), synced.error());
    return out;
}

std::string CertsTree::keptText(const BackedUpEntry& entry) const {
    const bool whole = entry.path.find('/') == std::string::npos;
    const std::string path = whole ? entry.stored + "/" + kHosts : entry.stored;
    const size_t slash = path.find('/');
    const auto root = open();
    if (!root || slash == std::string::npos) return "";
    const auto parent = openBelow(root->get(), path.substr(0, slash));
    if (!parent) return "";
    auto kept = observeEntry(parent->get(), path.substr(slash + 1));
    return kept ? std::move(kept->content) : std::string();
}

Result<std::string> CertsTree::nameToKeep(const std::string& path) const {
    const auto root = open();
    if (!root) return root.error();
    const size_t slash = path.find('/');
    if (slash == std::string::npos) return asideName(root->get(), path);
    const std::string directory = path.substr(0, slash);
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return parent.error();
    auto name = asideName(parent->get(), path.substr(slash + 1));
    return name ? Result<std::string>(directory + "/" + *name) : name;
}

Result<bool> CertsTree::isThere(const BackedUpEntry& entry) const {
    const auto root = open();
    if (!root) return root.error();
    struct stat status {};
    if (::fstatat(root->get(), entry.stored.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return Error::system("look at", entry.stored, errno);
}

Result<bool> CertsTree::discardUnused(const BackedUpEntry& entry, const Ownership& owned) const {
    const auto root = open();
    if (!root) return root.error();
    const size_t slash = entry.stored.find('/');
    const bool whole = slash == std::string::npos;
    const std::string place = entry.stored.substr(0, slash);
    const std::string name = whole ? kHosts : entry.stored.substr(slash + 1);
    struct stat status {};
    if (::fstatat(root->get(), place.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return false;
        return Error::system("look at", place, errno);
    }
    // Before it is opened, which its owner may forbid.
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) return false;
    const auto directory = openBelow(root->get(), place);
    if (!directory) return directory.error();
    if (::fstat(directory->get(), &status) != 0) return Error::system("look at", place, errno);
    if (status.st_uid != ::geteuid()) return false;
    const auto hosts = observeEntry(directory->get(), name);
    if (!hosts) return within(place, hosts.error());
    if (whole && hosts->type == Type::Absent)
        return ::unlinkat(root->get(), place.c_str(), AT_REMOVEDIR) == 0;
    if (hosts->type != Type::File || isForeign(hosts->uid, hosts->gid) ||
        !owned.wrote(hosts->sha256))
        return false;
    if (whole) {
        if (const auto gone = discardCarried(root->get(), place, entry.path); !gone)
            return gone.error();
    } else if (::unlinkat(directory->get(), name.c_str(), 0) != 0) {
        return Error::system("remove", entry.stored, errno);
    }
    return true;
}

namespace {

/// Takes an entry out. `path`: of the hosts.toml that it is, or has in it.
Result<void> takeOut(int parent, const std::string& name, const std::string& path) {
    const std::string temporary = temporaryName();
    if (::renameat(parent, name.c_str(), parent, temporary.c_str()) != 0)
        return Error::system("remove", path, errno);
    discard(parent, temporary);
    return syncDirectory(parent);
}

/// The same of what has the wanted digest: another is given back. Meanwhile it has a name under
/// which nothing is ever cleared away.
Result<void> takeOutOnly(int parent, const std::string& name, const std::string& path,
                         const std::string& sha256) {
    const auto aside = asideName(parent, name);
    if (!aside) return aside.error();
    if (::renameat(parent, name.c_str(), parent, aside->c_str()) != 0)
        return Error::system("remove", path, errno);
    const bool whole = name != kHosts;
    const auto inner = whole ? openBelow(parent, *aside) : Result<UniqueFd>(UniqueFd());
    const auto file = !inner ? Result<ObservedEntry>(inner.error())
                             : observeFile(whole ? inner->get() : parent, whole ? kHosts : *aside,
                                           Unfinished::Refuse);
    if (file && file->sha256 == sha256) {
        discard(parent, *aside);
        return syncDirectory(parent);
    }
    if (renameNoReplace(parent, *aside, name) != 0)
        return Error("remove", path, "it changed meanwhile; one text is in " + *aside);
    return changedMeanwhile("remove", path);
}

}  // namespace

Result<void> CertsTree::remove(const std::string& directory,
                               const std::optional<std::string>& sha256) const {
    const auto root = open();
    if (!root) return root.error();
    const auto type = typeOf(root->get(), directory);
    if (!type) return type.error();
    if (*type != Type::Directory) return {};
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return parent.error();
    const auto names = namesIn(parent->get());
    if (!names) return names.error();
    const std::string path = directory + "/" + kHosts;
    const bool alone = std::all_of(names->begin(), names->end(), [](const std::string& name) {
        return name == kHosts || isTemporary(name);
    });
    if (alone) {
        const auto gone = sha256 ? takeOutOnly(root->get(), directory, path, *sha256)
                                 : takeOut(root->get(), directory, path);
        if (gone || gone.error().code() != EXDEV) return gone;
    }
    // Of overlayfs's lower layer no directory is renamed.
    const auto gone = sha256 ? takeOutOnly(parent->get(), kHosts, path, *sha256)
                             : takeOut(parent->get(), kHosts, path);
    if (!gone && gone.error().code() != ENOENT) return gone;
    if (!alone) return syncDirectory(parent->get());
    removeLeftovers(directory);
    if (::unlinkat(root->get(), directory.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY)
        return Error::system("remove", directory, errno);
    return syncDirectory(root->get());
}

Result<void> CertsTree::moveAside(const std::string& directory, const std::string& name) const {
    const auto root = open();
    if (!root) return root.error();
    const auto refuse = [&](const std::string& why, const std::string& besides = "") {
        return Error("set aside", root_ + "/" + directory, "it is another user's, and " + why,
                     "chown -R root:root " + root_ + "/" + directory + besides);
    };
    const auto last = typeOf(root->get(), asideNumber(directory, kMostAside));
    if (!last) return last.error();
    if (*last != Type::Absent)
        return refuse("was set aside again and again", ", and remove " + directory + ".aside-*");
    // Certificates stay in force without hosts.toml, and are not to go with it.
    const auto inner = openBelow(root->get(), directory);
    const auto names = inner ? namesIn(inner->get()) : inner.error();
    if (!names) return refuse("cannot be listed: " + names.error().reason());
    for (const auto& inside : *names)
        if (inside != kHosts && !isTemporary(inside)) return refuse("has more in it: " + inside);
    if (renameNoReplace(root->get(), directory, name) != 0)
        return refuse("cannot be renamed: " + Error::system("", "", errno).reason());
    return syncDirectory(root->get());
}

Result<void> CertsTree::restore(const BackedUpEntry& entry, std::string_view content) const {
    const auto root = open();
    if (!root) return root.error();
    const size_t slash = entry.path.find('/');
    if (slash == std::string::npos) return putEntry(root->get(), entry.path, entry, content);
    const std::string directory = entry.path.substr(0, slash);
    // Together with its file: an empty directory would hide _default.
    const auto type = typeOf(root->get(), directory);
    if (!type) return type.error();
    if (entry.type == BackedUpEntry::Type::File && !isForeign(entry.uid, entry.gid) &&
        *type == Type::Absent) {
        const auto placed = placeDirectory(root->get(), directory, content, entry.mode);
        return placed ? Result<void>() : Result<void>(placed.error());
    }
    const bool made = ::mkdirat(root->get(), directory.c_str(), 0755) == 0;
    const auto parent = openBelow(root->get(), directory);
    if (!parent) return parent.error();
    if (made && ::fchmod(parent->get(), 0755) != 0)
        return Error::system("set the mode of", directory, errno);
    return putEntry(parent->get(), entry.path.substr(slash + 1), entry, content);
}

void CertsTree::removeLeftovers(const std::string& directory) const {
    const auto root = open();
    if (!root) return;
    UniqueFd inner;
    if (!directory.empty()) {
        auto opened = openBelow(root->get(), directory);
        struct stat status {};
        // In another user's directory the names are theirs to give, to what is root's too.
        if (!opened || ::fstat(opened->get(), &status) != 0 || status.st_uid != ::geteuid()) return;
        inner = std::move(*opened);
    }
    const int parent = inner ? inner.get() : root->get();
    const auto names = namesIn(parent, directory.empty() ? SIZE_MAX - 1 : kMostNames);
    if (!names) return;
    for (const auto& name : *names)
        if (isTemporary(name)) discard(parent, name);
}

}  // namespace nodemirror::files
