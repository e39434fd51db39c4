#include "probe/tls_contexts.hpp"

#include "base/text.hpp"

#include <openssl/x509.h>
#include <sys/stat.h>

namespace nodemirror {

namespace {

/// With as many, those that no connection uses are let go.
constexpr size_t kMost = 64;

std::string stampOf(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return "-";
    return std::to_string(found.st_dev) + "." + std::to_string(found.st_ino) + "." +
           std::to_string(found.st_size) + "." + std::to_string(found.st_mtim.tv_sec) + "." +
           std::to_string(found.st_mtim.tv_nsec);
}

}  // namespace

Result<TlsContext> TlsContexts::get(const TlsSettings& settings) {
    std::string key = settings.skipVerify ? "skip" : "";
    const std::string bundle = SystemRoots::defaultFile();
    const std::string bundleStamp = stampOf(bundle);
    if (!roots_ || rootsStamp_ != bundleStamp) {
        roots_ = std::make_shared<SystemRoots>(bundle);
        rootsStamp_ = bundleStamp;
    }
    std::string stamps = bundleStamp;
    for (const auto& ca : settings.ca) {
        key += "\n" + ca;
        stamps += " " + stampOf(ca);
    }
    for (const auto& pair : settings.client) {
        key += "\n\t" + join(pair, "\n");
        for (const auto& file : pair) stamps += " " + stampOf(file);
    }
    const auto known = entries_.find(key);
    if (known != entries_.end() && known->second.stamps == stamps) return known->second.context;
    auto made = makeTlsContext(settings, roots_);
    if (!made) return made;
    if (entries_.size() >= kMost)
        std::erase_if(entries_,
                      [](const auto& entry) { return entry.second.context.use_count() == 1; });
    entries_[key] = {std::move(stamps), *made};
    return made;
}

}  // namespace nodemirror
