#include "diagnose/pull_words.hpp"

#include "base/text.hpp"
#include "diagnose/resolution.hpp"
#include "hosts_toml/upstream.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

std::string namesOf(const CertificateFacts& facts) {
    constexpr size_t kMost = 5;
    if (facts.names.empty()) return "no name";
    std::vector<std::string> shown = facts.names;
    shown.resize(std::min(kMost, shown.size()));
    const std::string first = join(shown, ", ");
    return facts.nameCount > shown.size()
               ? first + " and " + std::to_string(facts.nameCount - shown.size()) + " more"
               : first;
}

std::string certificateWords(const RegistryAnswer& answer, const std::string& host) {
    const auto& facts = answer.last().certificate;
    if (!facts) return host + " failed the TLS handshake: " + answer.last().error;
    switch (answer.fault) {
        case Fault::Expired:
            return "the certificate of " + host + " is valid only from " +
                   rfc3339(facts->notBefore).substr(0, 10) + " to " +
                   rfc3339(facts->notAfter).substr(0, 10) + " (or this node's clock is wrong)";
        case Fault::Name: return "the certificate of " + host + " is for " + namesOf(*facts);
        default:
            return "the certificate of " + host + " is signed by " + inQuotes(facts->issuer) +
                   ", which this node does not trust";
    }
}

bool isCertificateFault(Fault fault) {
    return fault == Fault::Authority || fault == Fault::Expired || fault == Fault::Name;
}

}  // namespace

std::string describeAnswer(const RegistryAnswer& answer, const ApiError& apiError,
                           const std::string& host) {
    const std::string kind = answerClass(answer, apiError);
    const std::string status = answer.status > 0 ? " (" + std::to_string(answer.status) + ")" : "";
    const std::string code = apiError.code.empty() ? "" : ", " + apiError.code;
    const bool token = answer.last().purpose == "token";
    if (isCertificateFault(answer.fault)) return certificateWords(answer, host);
    if (kind == "denied")
        return host +
               " answers insufficient_scope or denied: this repository does not exist on "
               "this mirror, or is not public";
    if (token) return "the token service of " + host + " gives no token: " + answer.error;
    if (kind == "dns") return host + " has no address: " + answer.last().error;
    if (answer.fault == Fault::ProxyUnknown)
        return host +
               " is behind a proxy that cannot be gone through from here: " + answer.last().error;
    if (answer.fault == Fault::Unparsed)
        return host + " answers in a form that containerd may read, and cannot be read here: " +
               answer.last().error;
    if (answer.fault == Fault::Proxy)
        return "the proxy " + answer.last().proxy + " in front of " + host +
               " fails: " + answer.last().error;
    if (kind == "refused") return host + " refuses the connection";
    if (kind == "unreachable") return host + " cannot be reached: " + answer.last().error;
    if (kind == "reset") return host + " closes the connection without an answer";
    if (kind == "hang") return host + " takes the connection and does not answer";
    if (kind == "plain-http") return host + " speaks plain HTTP where https is configured";
    if (kind == "not-found") return host + " has no such image" + status + code;
    if (kind == "unauthorized")
        return answer.fault != Fault::None ? host + " wants credentials: " + answer.error
                                           : host + " wants credentials" + status + code;
    if (kind == "forbidden") return host + " forbids it" + status + code;
    if (kind == "rate-limited") return host + " limits how often this node may ask" + status;
    if (kind == "server-error") return host + " has an error of its own" + status + code;
    if (answer.fault != Fault::None) return host + ": " + answer.last().error;
    return host + " answers with status " + std::to_string(answer.status) + code;
}

std::string describeHost(const HostFinding& finding) {
    if (!finding.invalidDigest.empty())
        return finding.host.host + " tells a digest that is none, for which every pull by a tag " +
               "fails: " + finding.invalidDigest;
    if (hostClass(finding) == "too-large")
        return finding.host.host + " gives a manifest of " + std::to_string(finding.size) +
               " bytes, and containerd takes 4 MiB at most";
    return describeAnswer(decidingAnswer(finding), finding.apiError, finding.host.host);
}

std::string remedyFor(const HostFinding& finding, const ImageReference& reference) {
    const std::string& host = finding.host.host;
    const std::string kind = hostClass(finding);
    if (kind == "denied")
        return "choose a mirror that has " + reference.repository +
               ", or correct the name: " + host + " does not have it";
    if (kind == "dns") return "correct the name " + host + ", or the node's DNS";
    if (kind == "refused" || kind == "reset")
        return "start the registry at " + host + ", or correct its port";
    if (kind == "unreachable") return "open the way to " + host + ", or take it out of the chain";
    if (kind == "certificate-authority")
        return "give the CA of " + host + " as `ca` in its mirror entry";
    if (kind == "certificate-expired") return "renew the certificate of " + host;
    if (kind == "certificate-name")
        return "use a name for " + host + " that its certificate is for";
    if (kind == "plain-http") return "write http:// for " + host + ", or let it speak TLS";
    if (kind == "rate-limited")
        return "put a mirror of your own in front of " + host + ", or pull with credentials";
    if (kind == "unauthorized" || kind == "forbidden")
        return "give credentials for " + host +
               ": imagePullSecrets in the pod, or headerFiles in the mirror entry";
    if (kind == "not-found")
        return "check the name and the tag: " + host + " does not have " + reference.repository +
               (reference.tag.empty() ? "" : ":" + reference.tag);
    if (kind == "invalid-digest")
        return "have the operator of " + host +
               " mend its Docker-Content-Digest, or take it out of the chain";
    if (kind == "server-error") return "look into the log of the registry at " + host;
    return "";
}

std::vector<ImageReference> directReferences(const ImageFindings& findings) {
    std::vector<ImageReference> out;
    for (const auto& finding : findings.hosts) {
        if (!finding.head.ok()) continue;
        // Only where the host's own path is the plain one can its name be written into a reference.
        std::string path = finding.host.path;
        if (path.rfind("/v2", 0) != 0) continue;
        path = path.size() > 4 ? path.substr(4) + "/" : "";
        if (finding.host.scheme != "https" || finding.host.host == upstreamHost("docker.io"))
            continue;
        ImageReference direct = findings.reference;
        direct.host = finding.host.host;
        direct.repository = path + direct.repository;
        out.push_back(std::move(direct));
    }
    return out;
}

std::string ctrDifference(const ImageFindings& findings) {
    const std::string& registry = findings.reference.host;
    const std::string upstream = upstreamHost(registry);
    std::string outcome;
    for (const auto& finding : findings.hosts)
        if (finding.host.host == upstream)
            outcome = finding.head.ok()
                          ? ", where it would find the image"
                          : ", where it would fail: " +
                                describeAnswer(finding.head, finding.apiError, finding.host.host);
    return "`ctr images pull` reads neither certs.d nor config.toml: it asks " + upstream +
           " alone" + outcome +
           ". Its result says nothing about pods. `ctr -n k8s.io images pull --hosts-dir DIR` asks "
           "the mirrors; crictl pull is what kubelet does";
}

}  // namespace nodemirror
