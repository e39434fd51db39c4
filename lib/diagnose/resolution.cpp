#include "diagnose/resolution.hpp"

#include "base/text.hpp"

namespace nodemirror {

namespace {

/// How much the error of a host counts in 2.x; the first of the highest is told.
enum Priority { kNone = 0, kTransport = 1, kNotFound = 2, kStatus = 3, kTooLarge = 4 };

struct Failure {
    Priority priority = kNone;
    std::string error;
};

Failure failureOf(const HostFinding& finding, const ImageReference& reference,
                  const ContainerdVersion& version) {
    const RegistryAnswer& answer = finding.head;
    if (answer.fault != Fault::None) return {kTransport, answer.error};
    if (answer.status == 404) return {kNotFound, reference.text() + ": not found"};
    if (answer.status > 399) {
        const std::string url = answer.last().url;
        if (version.tellsStatusByHost())
            return {
                kStatus,
                "pulling from host " + finding.host.host + " failed with status code [" +
                    join({"manifests", reference.tag.empty() ? reference.digest : reference.tag},
                         " ") +
                    "]: " + statusLine(answer.status)};
        return {kStatus, "unexpected status from " + answer.last().method + " request to " + url +
                             ": " + statusLine(answer.status)};
    }
    if (finding.size > kLargestManifest)
        return {kTooLarge, "rejecting " + std::to_string(finding.size) + " byte manifest for " +
                               reference.text() + ": not found"};
    return {};
}

}  // namespace

const RegistryAnswer& decidingAnswer(const HostFinding& finding) {
    const bool isGet = finding.head.ok() && finding.get && !finding.get->ok();
    return isGet ? *finding.get : finding.head;
}

const RegistryAnswer* untoldAnswer(const HostFinding& finding) {
    if (tellsNothing(finding.head.fault)) return &finding.head;
    return finding.get && tellsNothing(finding.get->fault) ? &*finding.get : nullptr;
}

bool isEndless(const RegistryAnswer& answer) { return answer.fault == Fault::Hang; }

std::string answerClass(const RegistryAnswer& answer, const ApiError& apiError) {
    const bool denied =
        answer.error.find("insufficient_scope") != std::string::npos || apiError.code == "DENIED";
    if (denied &&
        (answer.fault == Fault::Unauthorized || answer.status == 401 || answer.status == 403))
        return "denied";
    if (answer.fault != Fault::None) return faultName(answer.fault);
    if (answer.status < 300) return "";
    if (answer.status == 401) return "unauthorized";
    if (answer.status == 403) return "forbidden";
    if (answer.status == 404) return "not-found";
    if (answer.status == 429) return "rate-limited";
    return answer.status >= 500 ? "server-error" : "status";
}

std::string hostClass(const HostFinding& finding) {
    if (!finding.invalidDigest.empty()) return "invalid-digest";
    const std::string kind = answerClass(decidingAnswer(finding), finding.apiError);
    return kind.empty() && finding.size > kLargestManifest ? "too-large" : kind;
}

Resolution resolveAmong(const std::vector<HostFinding>& hosts, const ImageReference& reference,
                        const ContainerdVersion& version) {
    Resolution out;
    Priority told = kNone;
    bool any = false;
    for (size_t i = 0; i < hosts.size(); ++i) {
        const HostFinding& finding = hosts[i];
        if (!finding.resolves) continue;
        any = true;
        if (isEndless(finding.head) || (finding.get && isEndless(*finding.get))) {
            out.failingAt = i;
            out.ends = out.endless = true;
            out.error = "no answer from " + finding.host.host + "; containerd waits without an end";
            return out;
        }
        if (!finding.invalidDigest.empty()) {
            out.failingAt = i;
            out.ends = true;
            out.error = finding.invalidDigest;
            return out;
        }
        const Failure failure = failureOf(finding, reference, version);
        if (failure.priority == kNone) {
            if (finding.head.status > 299 || (finding.get && !finding.get->ok())) {
                // A redirect that leads nowhere, or a GET that fails behind a HEAD that did not:
                // no other host is asked.
                const RegistryAnswer& answer = finding.get ? *finding.get : finding.head;
                out.failingAt = i;
                out.ends = true;
                out.error = answer.error.empty() ? "unexpected status " + statusLine(answer.status)
                                                 : answer.error;
                return out;
            }
            out.winner = i;
            out.failingAt.reset();
            out.error.clear();
            return out;
        }
        const bool graver =
            version.tellsGravestError()
                ? failure.priority > told
                : told == kNone || (told == kNotFound && failure.priority != kNotFound);
        if (!graver) continue;
        told = failure.priority;
        out.failingAt = i;
        out.error = failure.error;
    }
    if (!any) out.error = "no resolve hosts: not found";
    return out;
}

}  // namespace nodemirror
