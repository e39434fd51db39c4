#include "hosts_toml/certificates.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "tls/pem.hpp"

#include <sys/stat.h>

namespace nodemirror {

namespace {

constexpr off_t kLargestCertificate = 1 << 20;

Result<std::string> readFile(const std::string& path) {
    return readWholeFile(path, static_cast<size_t>(kLargestCertificate));
}

std::string pairError(const std::vector<std::string>& pair) {
    const auto cert = readFile(pair[0]);
    if (!cert)
        return "unable to read CERT file " + inQuotes(pair[0]) + ": " + cert.error().reason();
    const auto key = pair.size() > 1 ? readFile(pair[1]) : cert;
    if (!key) return "unable to read CERT file " + inQuotes(pair[1]) + ": " + key.error().reason();
    const std::string wrong = clientPairProblem(*cert, *key);
    if (wrong.empty()) return "";
    return "failed to load X509 key pair " + inQuotes(pair[0]) + ": " + wrong;
}

}  // namespace

std::string Certificates::errorOf(const ChainHost& host) {
    for (const auto& path : host.ca) {
        if (look(path) != Look::New) continue;
        const auto pem = readFile(path);
        if (!pem) return "unable to read CA cert " + inQuotes(path) + ": " + pem.error().reason();
        blocks_ += pemBlockCount(*pem);
        if (blocks_ > kMostBlocks) continue;
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

Certificates::Look Certificates::look(const std::string& path) {
    if (seen_.size() >= kMostPaths && seen_.count(path) == 0) return Look::Beyond;
    const auto [found, fresh] = seen_.try_emplace(path, Look::Known);
    if (!fresh) return found->second;
    struct stat status {};
    const bool there = ::stat(path.c_str(), &status) == 0;
    if (there) left_ -= status.st_size;
    const bool large = there && (status.st_size > kLargestCertificate || left_ < 0);
    if (!large && !isClosedToUs(path)) return Look::New;
    return found->second = Look::Beyond;
}

}  // namespace nodemirror
