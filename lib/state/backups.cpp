/// Copies of what was there before.
#include "base/read_file.hpp"
#include "state/state_dir.hpp"
#include "state/state_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace nodemirror {

namespace {

constexpr int kEarlierKept = 9;

/// Gives a backup another name before a new one takes its place; of nine the oldest goes. One that
/// has such a name already, from a try that did not get further, needs no second one.
Result<void> keepEarlier(const std::string& path) {
    const auto earlier = [&path](int number) {
        return path + ".earlier-" + std::to_string(number);
    };
    struct stat kept {};
    struct stat other {};
    if (::lstat(path.c_str(), &kept) != 0) return Error::system("look at", path, errno);
    for (int number = 1; number <= kEarlierKept; ++number)
        if (::lstat(earlier(number).c_str(), &other) == 0 && other.st_dev == kept.st_dev &&
            other.st_ino == kept.st_ino)
            return {};
    for (int number = 1; number <= kEarlierKept; ++number) {
        if (::link(path.c_str(), earlier(number).c_str()) == 0) return {};
        if (errno != EEXIST) return Error::system("keep a second name of", path, errno);
    }
    for (int number = 1; number < kEarlierKept; ++number)
        if (::rename(earlier(number + 1).c_str(), earlier(number).c_str()) != 0)
            return Error::system("rename", earlier(number + 1), errno);
    if (::link(path.c_str(), earlier(kEarlierKept).c_str()) == 0) return {};
    return Error::system("keep a second name of", path, errno);
}

}  // namespace

std::string StateDir::backupName(std::string path) {
    std::replace(path.begin(), path.end(), '/', '@');
    return path;
}

Result<void> StateDir::storeBackup(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/backups/" + name;
    // What a claim of before kept is the only copy of it where that claim was lost.
    const auto known = loadBackup(name);
    if (!known && known.error().code() != ENOENT) return known.error();
    if (known && *known != content)
        if (const auto kept = keepEarlier(path); !kept) return kept;
    return writeStateText(path, content);
}

Result<std::string> StateDir::loadBackup(const std::string& name) const {
    return readWholeFile(path_ + "/backups/" + name, kLargestState, Writers::RootOnly);
}

void StateDir::dropBackup(const std::string& name) const {
    ::unlink((path_ + "/backups/" + name).c_str());
}

}  // namespace nodemirror
