#include "hosts_toml/directories.hpp"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace nodemirror {

std::vector<std::string> directoryNames(const std::string& registry) {
    std::vector<std::string> names;
    const size_t colon = registry.rfind(':');
    if (colon != std::string::npos && colon > 0)
        names.push_back(registry.substr(0, colon) + "_" + registry.substr(colon + 1) + "_");
    names.push_back(registry);
    if (registry != "_default") names.emplace_back("_default");
    return names;
}

std::string ownDirectoryName(const std::string& registry) {
    return directoryNames(registry).front();
}

std::string registryOfDirectory(const std::string& directory) {
    if (directory.size() < 3 || directory.back() != '_' || directory.find(':') != std::string::npos)
        return directory;
    const size_t bar = directory.rfind('_', directory.size() - 2);
    if (bar == std::string::npos || bar == 0) return directory;
    const std::string port = directory.substr(bar + 1, directory.size() - bar - 2);
    const bool digits = !port.empty() && std::all_of(port.begin(), port.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    return digits ? directory.substr(0, bar) + ":" + port : directory;
}

bool isAside(const std::string& name) {
    const size_t at = name.rfind(kAside);
    if (at == std::string::npos || at == 0) return false;
    const std::string number = name.substr(at + std::strlen(kAside));
    return !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
}

Seen<std::vector<std::string>> directoriesUnder(const std::string& root) {
    using Answer = Seen<std::vector<std::string>>;
    const auto unknown = [&root](int code) {
        return Answer::unknown(Error::system("list", root, code).brief());
    };
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(
        ::opendir(root.c_str()), [](DIR* open) { return open == nullptr ? 0 : ::closedir(open); });
    if (!dir) return errno == ENOENT ? Answer::absent() : unknown(errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get()))
        if (entry->d_name[0] != '.' && !isAside(entry->d_name)) names.emplace_back(entry->d_name);
    if (errno != 0) return unknown(errno);
    std::sort(names.begin(), names.end());
    return Answer::known(std::move(names));
}

}  // namespace nodemirror
