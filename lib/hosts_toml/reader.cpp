#include "hosts_toml/reader.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/upstream.hpp"
#include "tls/pem.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
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

namespace {

/// os.IsNotExist
bool isNotExist(int code) { return code == ENOENT; }

/// Whoever may write below certs.d may write files without end, and name others. A hosts.toml of
/// any sense is far smaller; certificates beyond these bounds are not looked at.
constexpr off_t kLargestCertificate = 1 << 20;
constexpr size_t kMostNames = 4096;
constexpr size_t kMostPairs = 64;  ///< a key costs half a millisecond
constexpr size_t kMostWarnings = 20;
constexpr off_t kMostCertificates = 4 << 20;  ///< bytes in all, of one chain

Result<std::string> readFile(const std::string& path) {
    return readWholeFile(path, static_cast<size_t>(kLargestCertificate));
}

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

/// loadCertFiles: Docker's layout of *.crt, *.cert and *.key, for the registry's own upstream.
Chain loadCertFiles(const std::string& directory, ChainReading& out) {
    Chain hosts(1);
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

/// Whether a path is a link to somewhere else: what stands there may be a secret, and whoever made
/// the link another user. Errors quote what they are about.
bool leadsElsewhere(const std::string& path, const std::string& directory) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return false;
    const auto real = [](const std::string& name) {
        const std::unique_ptr<char, decltype(&std::free)> found(::realpath(name.c_str(), nullptr),
                                                                &std::free);
        return found ? std::string(found.get()) : "";
    };
    const std::string home = real(directory);
    return home.empty() || real(path).compare(0, home.size() + 1, home + "/") != 0;
}

/// Whether only this process may not read a file: what containerd makes of it cannot be told then.
bool isClosedToUs(const std::string& path) {
    return ::access(path.c_str(), R_OK) != 0 && errno == EACCES;
}

/// Who else may write a hosts.toml, or put another in its place; empty where nobody but root and
/// this user.
std::string othersOf(const std::string& root, const std::string& directory) {
    for (const auto& path : {root, directory, directory + "/hosts.toml"}) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) continue;
        if (status.st_uid != 0 && status.st_uid != ::geteuid())
            return path + " belongs to uid " + std::to_string(status.st_uid);
        if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others may write " + path;
    }
    return "";
}

/// loadHostDir
Chain loadDirectory(const std::string& directory, const ContainerdVersion& version,
                    ChainReading& out) {
    const std::string path = directory + "/hosts.toml";
    struct stat status {};
    std::string text;
    if (::stat(path.c_str(), &status) == 0) {
        auto content = readWholeFile(path, kLargestHostsToml);
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
    if (text.empty()) return loadCertFiles(directory, out);
    Decoded decoded = decodeHostsToml(text, directory, version);
    const bool hidden = !out.others.empty() && leadsElsewhere(path, directory);
    const std::string why =
        hidden ? "what the link leads to is no TOML that containerd takes" : decoded.error;
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
        return loadCertFiles(directory, out);
    }
    if (!hidden) lintHostsToml(text, decoded.hosts, out.registry, version, out.warnings);
    if (out.warnings.size() > kMostWarnings) {
        Warning rest = out.warnings.back();
        rest.text =
            "and " + std::to_string(out.warnings.size() - kMostWarnings) + " more like these";
        out.warnings.resize(kMostWarnings);
        out.warnings.push_back(std::move(rest));
    }
    return std::move(decoded.hosts);
}

/// The loading of certificates in ConfigureHosts: a file that fails, of whichever host, fails
/// every pull of the registry.
class Certificates {
  public:
    std::string errorOf(const ChainHost& host) {
        for (const auto& path : host.ca) {
            if (look(path) != Look::New) continue;
            const auto pem = readFile(path);
            if (!pem)
                return "unable to read CA cert " + inQuotes(path) + ": " + pem.error().reason();
            if (!holdsCertificate(*pem)) return "unable to load CA cert " + inQuotes(path);
        }
        for (const auto& pair : host.client) {
            // A certificate of many mirrors may have a key of each.
            const Look certificate = look(pair.front());
            const Look key = pair.size() < 2 ? certificate : look(pair.back());
            if (certificate == Look::Beyond || key == Look::Beyond) continue;
            if (certificate == Look::Known && key == Look::Known) continue;
            if (++pairs_ > kMostPairs) continue;
            if (auto problem = pairError(pair); !problem.empty()) return problem;
        }
        return "";
    }

  private:
    static std::string pairError(const std::vector<std::string>& pair) {
        const auto cert = readFile(pair[0]);
        if (!cert)
            return "unable to read CERT file " + inQuotes(pair[0]) + ": " + cert.error().reason();
        const auto key = pair.size() > 1 ? readFile(pair[1]) : cert;
        if (!key)
            return "unable to read CERT file " + inQuotes(pair[1]) + ": " + key.error().reason();
        const std::string wrong = clientPairProblem(*cert, *key);
        if (wrong.empty()) return "";
        return "failed to load X509 key pair " + inQuotes(pair[0]) + ": " + wrong;
    }

    enum class Look {
        New,
        Known,   ///< read before
        Beyond,  ///< beyond the bounds, or not for this process: of it nothing is said
    };
    Look look(const std::string& path) {
        const auto [found, fresh] = seen_.try_emplace(path, Look::Known);
        if (!fresh) return found->second;
        struct stat status {};
        const bool there = ::stat(path.c_str(), &status) == 0;
        if (there) left_ -= status.st_size;
        const bool large = there && (status.st_size > kLargestCertificate || left_ < 0);
        if (!large && !isClosedToUs(path)) return Look::New;
        return found->second = Look::Beyond;
    }

    std::map<std::string, Look> seen_;
    off_t left_ = kMostCertificates;
    size_t pairs_ = 0;
};

}  // namespace

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

std::vector<std::string> textsOf(const std::vector<Warning>& warnings) {
    std::vector<std::string> out;
    for (const auto& warning : warnings) out.push_back(warning.text);
    return out;
}

ChainReading readChain(const std::string& root, const std::string& registry,
                       const ContainerdVersion& version) {
    ChainReading out;
    out.registry = registry;
    Chain hosts;
    const std::string directory = findDirectory(root, out);
    if (!directory.empty()) {
        out.others = othersOf(root, directory);
        hosts = loadDirectory(directory, version, out);
    }
    if (out.error.empty()) {
        fillDefaultHost(hosts, registry, version);
        Certificates certificates;
        for (const auto& host : hosts) {
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
