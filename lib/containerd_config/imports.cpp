#include "containerd_config/imports.hpp"

#include "base/text.hpp"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>

namespace nodemirror {

namespace {

using toml_text::Value;

std::string directoryOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

/// How many of a path's parts are . or ..
size_t dotParts(const std::string& path) {
    const auto parts = split(path, '/');
    return static_cast<size_t>(std::count(parts.begin(), parts.end(), ".") +
                               std::count(parts.begin(), parts.end(), ".."));
}

/// What the callbacks of glob(3), which take no argument, have to do with.
struct Search {
    size_t left = 0;  ///< names that may be looked at
    std::optional<Error> unread;
};
thread_local Search search;

bool mayLook() { return search.left > 0 && --search.left > 0; }

void* openDirectory(const char* path) {
    if (mayLook()) return ::opendir(path);
    errno = ENOENT;
    return nullptr;
}

dirent* nextEntry(void* directory) {
    return mayLook() ? ::readdir(static_cast<DIR*>(directory)) : nullptr;
}

int noteUnread(const char* path, int code) {
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return 0;
    search.unread = Error::system("look for imports in", path, code);
    return 1;
}

}  // namespace

/// What Go's filepath.Glob finds: names that begin with a dot too, and nothing in a directory that
/// is not there; the directories in order first, then what is in each. One that cannot be looked
/// into is an error.
Result<std::vector<std::string>> ImportSearch::globbed(const std::string& pattern) {
    search = {left_, std::nullopt};
    glob_t found{};
    found.gl_opendir = openDirectory;
    found.gl_readdir = nextEntry;
    found.gl_closedir = [](void* directory) { ::closedir(static_cast<DIR*>(directory)); };
    found.gl_stat = [](const char* path, struct stat* out) { return ::stat(path, out); };
    found.gl_lstat = [](const char* path, struct stat* out) { return ::lstat(path, out); };
    std::vector<std::string> out;
    const int result = ::glob(pattern.c_str(), GLOB_PERIOD | GLOB_ALTDIRFUNC, noteUnread, &found);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; ++i)
        if (dotParts(found.gl_pathv[i]) == dotParts(pattern)) out.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    left_ = search.left;
    if (left_ == 0)
        return Error("look for imports", pattern, "it leads through more than 20000 names",
                     "name the directory that is meant");
    if (result != 0 && result != GLOB_NOMATCH)
        return search.unread ? *search.unread
                             : Error("look for imports", pattern, "memory ran out");
    std::sort(out.begin(), out.end(), [](const std::string& a, const std::string& b) {
        return split(a, '/') < split(b, '/');
    });
    return out;
}

Result<std::vector<std::string>> ImportSearch::importsOf(const ConfigFile& file,
                                                         const ContainerdVersion& containerd) {
    std::vector<std::string> out;
    std::set<std::string> known;
    const auto add = [&](std::string path) {
        if (known.insert(path).second) out.push_back(std::move(path));
    };
    const Value* list = file.root.find("imports");
    if (list == nullptr || list->kind != Value::Kind::Array) return out;
    for (const auto& item : list->items) {
        if (out.size() > most_) break;  // the caller refuses so many
        std::string path = item.string;
        const bool isGlob = path.find('*') != std::string::npos;
        const bool relative = path.empty() || path.front() != '/';
        if (relative && isGlob && containerd.looksForGlobsInRoot())
            path = "/" + path;
        else if (relative)
            path = std::filesystem::path(directoryOf(file.path) + "/" + path).lexically_normal();
        if (!isGlob) {
            add(std::move(path));
            continue;
        }
        auto matches = globbed(path);
        if (!matches) return matches.error();
        for (auto& match : *matches) add(std::move(match));
    }
    return out;
}

}  // namespace nodemirror
