#include "hosts_toml/reader.hpp"

#include "base/read_file.hpp"
#include "base/trusted_path.hpp"
#include "base/unique_fd.hpp"
#include "hosts_toml/certificates.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/upstream.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

namespace nodemirror {

namespace {

/// os.IsNotExist
bool isNotExist(int code) { return code == ENOENT; }

/// Whoever may write below certs.d may write files without end.
constexpr size_t kMostNames = 4096;
constexpr size_t kMostWarnings = 20;

/// HostDirFromRoot: the first candidate that exists, of whatever type.
std::string findDirectory(const std::string& root, ChainReading& out) {
    for (const auto& name : directoryNames(out.registry)) {
        struct stat status {};
        const std::string path = cleanPath(root + "/" + name);
        if (::stat(path.c_str(), &status) == 0) {
            const std::string base = cleanPath(root) + "/";
            const bool below = path.compare(0, base.size(), base) == 0;
            out.directory = below ? path.substr(base.size()) : path;
            return path;
        }
        if (!isNotExist(errno)) {
            out.error = "cannot look up " + path + ": " + std::strerror(errno);
            return "";
        }
    }
    return "";
}

/// Whether nothing is said of the certificates.
bool arePassedOver(CertificateFiles files, const ChainReading& reading) {
    return files == CertificateFiles::OfRoot && !reading.others.empty();
}

/// loadCertFiles: Docker's layout of *.crt, *.cert and *.key, for the registry's own upstream.
Chain loadCertFiles(const std::string& directory, CertificateFiles files, ChainReading& out) {
    Chain hosts(1);
    if (arePassedOver(files, out)) return hosts;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
    if (!dir) {
        if (!isNotExist(errno))
            out.error = "cannot list " + directory + ": " + std::strerror(errno);
        return hosts;
    }
    std::vector<std::string> names;
    size_t seen = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
        if (++seen > kMostNames) {
            out.error = directory + " holds more than 4096 names";
            out.unreadable = true;
            return hosts;
        }
        const std::string_view name = entry->d_name;
        if (entry->d_type != DT_DIR && (name.ends_with(".crt") || name.ends_with(".cert")))
            names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
        const std::string path = directory + "/" + name;
        if (name.ends_with(".crt")) hosts[0].ca.push_back(path);
        if (!name.ends_with(".cert")) continue;
        std::vector<std::string> pair{path};
        const std::string key = path.substr(0, path.size() - 5) + ".key";
        struct stat status {};
        if (::stat(key.c_str(), &status) == 0) {
            pair.push_back(key);
        } else if (!isNotExist(errno)) {
            out.error = "cannot look up " + key + ": " + std::strerror(errno);
            return hosts;
        }
        hosts[0].client.push_back(std::move(pair));
    }
    return hosts;
}

/// Where an open file is; empty where it cannot be told.
std::string realPath(const UniqueFd& place) {
    if (!place) return "";
    char real[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(place.get());
    const ssize_t size = ::readlink(link.c_str(), real, sizeof real);
    return size < 0 ? "" : std::string(real, static_cast<size_t>(size));
}

/// Whether the file of a registry that others may write is one that they may not read, for all that
/// is known: what they had it lead to, or put there, may be a secret of root's, and errors quote.
bool isHidden(const std::string& root, const ChainReading& reading, const UniqueFd& file,
              const struct stat& status) {
    if (reading.others.empty()) return false;
    if (status.st_uid == 0 && (status.st_mode & S_IROTH) == 0) return true;
    const std::string home = realPath(UniqueFd(::open(root.c_str(), O_PATH | O_CLOEXEC)));
    const std::string own = home + "/" + reading.directory + "/";
    return home.empty() || realPath(file).compare(0, own.size(), own) != 0;
}

/// Who else may write a hosts.toml, or put another in its place; empty where nobody but root and
/// this user.
std::string othersOf(const std::string& root, const std::string& directory, bool& onTheWay) {
    for (const auto& path : {root, directory, directory + "/hosts.toml"}) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) continue;
        if (status.st_uid != 0 && status.st_uid != ::geteuid())
            return path + " belongs to uid " + std::to_string(status.st_uid);
        if (mayOthersWrite(path, status)) return "others may write " + path;
    }
    // And who may put another file of root's there, through what lies on the way.
    const auto ours = refuseOthersOnTheWay(directory + "/hosts.toml");
    onTheWay = !ours;
    if (onTheWay) return ours.error().reason();
    return "";
}

bool isLinkOfOthers(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode) && status.st_uid != 0 &&
           status.st_uid != ::geteuid();
}

/// loadHostDir
Chain loadDirectory(const std::string& root, const std::string& directory,
                    const ContainerdVersion& version, CertificateFiles files, ChainReading& out) {
    const std::string path = directory + "/hosts.toml";
    // A status is read by more than root: where others' links lead to is not told there.
    const int links = arePassedOver(files, out) ? O_NOFOLLOW : 0;
    if (links != 0 && isLinkOfOthers(directory)) {
        out.error = directory + " is a link of another user's: it is not followed";
        out.unreadable = true;
        return {};
    }
    // Once: whose it is and what it says are of the same file, whatever others put there meanwhile.
    const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC | links));
    struct stat status {};
    std::string text;
    if (place && ::fstat(place.get(), &status) == 0) {
        if (S_ISLNK(status.st_mode)) {
            out.error = path + " is a link that others may have put there: it is not followed";
            out.unreadable = true;
            return {};
        }
        auto content = readWholeFile(place, path, kLargestHostsToml);
        if (!content) {
            out.error = content.error().text();
            const bool large = status.st_size > static_cast<off_t>(kLargestHostsToml);
            out.unreadable = large || isClosedToUs(path);
            return {};
        }
        text = std::move(*content);
    } else if (!isNotExist(errno)) {
        out.error = "cannot read " + path + ": " + std::strerror(errno);
        return {};
    }
    if (text.empty()) return loadCertFiles(directory, files, out);
    Decoded decoded = decodeHostsToml(text, directory, version);
    out.hidden = isHidden(root, out, place, status);
    const std::string why =
        out.hidden ? "what is there is no TOML that containerd takes" : decoded.error;
    if (decoded.crashes) {
        out.error = "containerd " + version.text() + " itself dies of " + path + ": " + why;
        return {};
    }
    if (decoded.tooMuch) {
        out.error = path + ": " + why;
        out.unreadable = true;
        return {};
    }
    if (!decoded.valid) {
        out.ignored = "hosts.toml cannot be used: " + why;
        return loadCertFiles(directory, files, out);
    }
    if (!out.hidden) lintHostsToml(text, decoded.hosts, out.registry, version, out.warnings);
    if (out.warnings.size() > kMostWarnings) {
        Warning rest = out.warnings.back();
        rest.text = "and at least " + std::to_string(out.warnings.size() - kMostWarnings) +
                    " more like these";
        out.warnings.resize(kMostWarnings);
        out.warnings.push_back(std::move(rest));
    }
    return std::move(decoded.hosts);
}

}  // namespace

std::vector<std::string> textsOf(const std::vector<Warning>& warnings) {
    std::vector<std::string> out;
    for (const auto& warning : warnings) out.push_back(warning.text);
    return out;
}

ChainReading readChain(const std::string& root, const std::string& registry,
                       const ContainerdVersion& version, CertificateFiles files) {
    ChainReading out;
    out.registry = registry;
    Chain hosts;
    const std::string directory = findDirectory(root, out);
    if (!directory.empty()) {
        out.others = othersOf(root, directory, out.othersOnTheWay);
        hosts = loadDirectory(root, directory, version, files, out);
    }
    if (out.error.empty()) {
        fillDefaultHost(hosts, registry, version);
        Certificates certificates;
        for (const auto& host : hosts) {
            if (arePassedOver(files, out)) break;
            out.error = certificates.errorOf(host);
            if (!out.error.empty()) break;
        }
    }
    if (out.error.empty()) out.hosts = std::move(hosts);
    return out;
}

bool isOwn(const ChainReading& reading) {
    return std::any_of(reading.hosts.begin(), reading.hosts.end(), [&](const ChainHost& host) {
        using Names = std::vector<std::string>;
        const bool usual = host.capabilities == Names{"pull", "push", "resolve"} ||
                           host.capabilities == Names{"pull", "push", "referrers", "resolve"};
        return !isUpstream(host, reading.registry) || host.scheme != "https" ||
               host.path != "/v2" || !usual || host.skipVerify.value_or(false) ||
               !host.ca.empty() || !host.client.empty() || !host.header.empty();
    });
}

}  // namespace nodemirror
