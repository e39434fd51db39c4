#include "files/suspects.hpp"

#include "base/text.hpp"
#include "base/time.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

namespace nodemirror::files {

namespace {

constexpr size_t kMostNamed = 5;
constexpr size_t kLongestCommand = 80;

std::string readProc(const std::string& pid, const char* name) {
    std::ifstream in("/proc/" + pid + "/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

bool isNumber(const std::string& text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Processes other than this one and its clients whose command line has `word`.
std::vector<std::string> processesNaming(const std::string& word) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc"), ::closedir);
    if (!dir) return out;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string pid = entry->d_name;
        if (!isNumber(pid) || pid == std::to_string(::getpid())) continue;
        std::string command = readProc(pid, "cmdline");
        if (command.find(word) == std::string::npos) continue;
        std::replace(command.begin(), command.end(), '\0', ' ');
        const std::string name = trim(readProc(pid, "comm"));
        if (name == "nodemirrorctl" || name == "containerd") continue;
        // Of the arguments only the program is shown: the rest may hold secrets.
        out.push_back(name.substr(0, kLongestCommand) + " (pid " + pid + ")");
        if (out.size() == kMostNamed) break;
    }
    return out;
}

}  // namespace

std::string suspectsOf(const std::string& path, const std::string& root) {
    std::vector<std::string> facts;
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
        const WallTime changed{std::chrono::duration_cast<WallTime::duration>(
            std::chrono::seconds(status.st_mtim.tv_sec) +
            std::chrono::nanoseconds(status.st_mtim.tv_nsec))};
        facts.push_back("last written " + rfc3339(changed) + ", owner uid " +
                        std::to_string(status.st_uid));
    }
    const auto processes = processesNaming(root);
    if (!processes.empty())
        facts.push_back("processes that name " + root + ": " + join(processes, ", "));
    return join(facts, "; ");
}

}  // namespace nodemirror::files
