#include "containerd_config/version.hpp"

#include <cstdlib>
#include <regex>

namespace nodemirror {

std::string ContainerdVersion::text() const {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

int ContainerdVersion::highestConfigVersion() const {
    if (major < 2) return minor < 7 ? 0 : 2;
    return migratesOldPluginNames() ? 4 : 3;
}

std::string ContainerdVersion::defaultSandboxImage() const {
    const char* tag = "3.10.2";
    if (major < 2)
        tag = minor < 7 ? "3.6" : "3.8";
    else if (minor < 2)
        tag = "3.10";
    else if (minor < 3)
        tag = "3.10.1";
    return std::string("registry.k8s.io/pause:") + tag;
}

std::optional<ContainerdVersion> parseContainerdVersion(std::string_view text) {
    static const std::regex pattern("v?([0-9]{1,4})\\.([0-9]{1,4})(\\.([0-9]{1,6}))?([^0-9.].*)?");
    constexpr size_t kLongest = 128;  // std::regex recurses with the length of a text
    if (text.size() > kLongest) return std::nullopt;
    std::match_results<std::string_view::const_iterator> match;
    if (!std::regex_match(text.begin(), text.end(), match, pattern)) return std::nullopt;
    ContainerdVersion version;
    version.major = std::atoi(match[1].str().c_str());
    version.minor = std::atoi(match[2].str().c_str());
    if (match[4].matched) version.patch = std::atoi(match[4].str().c_str());
    return version;
}

}  // namespace nodemirror
