#include "reconcile/undeclared_registry.hpp"

#include "base/text.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/reader.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

ChainHost shownOf(const ChainHost& host) {
    constexpr size_t kLongest = 300;
    ChainHost out;
    out.scheme = shortened(host.scheme, kLongest);
    out.host = shortened(host.host, kLongest);
    out.path = shortened(host.path, kLongest);
    out.capabilities = host.capabilities;
    return out;
}

Chain shownOf(const Chain& hosts) {
    constexpr size_t kMost = 8;
    constexpr size_t kMostText = 1024;
    Chain out;
    size_t text = 0;
    for (const auto& host : hosts) {
        text += host.url().size();
        if (out.size() == kMost || text > kMostText) break;
        out.push_back(shownOf(host));
    }
    if (out.size() < hosts.size()) out.push_back(shownOf(hosts.back()));
    return out;
}

std::vector<std::string> shownOf(const std::vector<Warning>& warnings) {
    constexpr size_t kMost = 5;
    constexpr size_t kLongest = 300;
    std::vector<std::string> out;
    for (size_t i = 0; i < std::min(kMost, warnings.size()); ++i)
        out.push_back(shortened(warnings[i].text, kLongest));
    if (warnings.size() > kMost)
        out.push_back("and " + std::to_string(warnings.size() - kMost) +
                      " more: nodemirrorctl inspect tells them");
    return out;
}

}  // namespace

UndeclaredRegistry readUndeclared(const std::string& root, const std::string& directory,
                                  const ContainerdVersion& containerd) {
    constexpr size_t kLongest = 1000;
    const ChainReading reading =
        readChain(root, registryOfDirectory(directory), containerd, CertificateFiles::OfRoot);
    UndeclaredRegistry out;
    if (!reading.hidden) out.chain = shownOf(reading.hosts);
    out.warnings = shownOf(reading.warnings);
    if (reading.hidden)
        out.warnings.push_back(
            "its hosts are not shown, for others may have led it to a file that they "
            "may not read: nodemirrorctl inspect tells them");
    else if (out.chain.size() < reading.hosts.size())
        out.warnings.push_back(std::to_string(reading.hosts.size()) +
                               " hosts in all: nodemirrorctl inspect tells them");
    if (!reading.others.empty())
        out.warnings.push_back("certificates that it names were not looked at: " +
                               printable(reading.others) + "; nodemirrorctl inspect looks at them");
    out.problem = shortened(!reading.error.empty() ? reading.error : reading.ignored, kLongest);
    const bool sound = out.problem.empty() || reading.unreadable;
    out.state = sound ? RegistryState::Unmanaged : RegistryState::Invalid;
    return out;
}

}  // namespace nodemirror
