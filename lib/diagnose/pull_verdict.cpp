#include "diagnose/pull_verdict.hpp"

#include "base/text.hpp"
#include "diagnose/kubelet_words.hpp"
#include "diagnose/pull_words.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

std::string resolveStep(const ImageFindings& findings, const ContainerdVersion& version) {
    if (version.saysResolveImage()) return "failed to resolve image: ";
    return "failed to resolve reference " + inQuotes(findings.reference.text()) + ": ";
}

void add(std::vector<std::string>& list, const std::string& text) {
    if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end())
        list.push_back(text);
}

/// No host is asked at all, or the files of the registry themselves fail the pull.
bool judgeChain(const ImageFindings& findings, const ContainerdVersion& version, PullVerdict& out) {
    if (findings.chain.error.empty()) return false;
    if (findings.chain.unreadable) {
        out.errorClass = "unreadable";
        out.summary = "Whether " + findings.reference.host +
                      " can be pulled from cannot be told: " + findings.chain.error;
        out.remedies.push_back("let this command read what is named under certs.d/" +
                               findings.chain.directory);
        return true;
    }
    out.errorClass = "configuration";
    out.summary = "Every pull from " + findings.reference.host +
                  " fails on this node, whatever the image: " + findings.chain.error;
    out.kubeletError =
        kubeletError(findings, resolveStep(findings, version), findings.chain.error, version);
    out.remedies.push_back("mend what is named under certs.d/" + findings.chain.directory +
                           "; no restart is needed");
    return true;
}

/// What cannot be asked, or read, from here decides.
void judgeUnasked(const ImageFindings& findings, Fault fault, const std::string& why,
                  PullVerdict& out) {
    out.errorClass = faultName(fault);
    out.summary = "Whether the image can be pulled cannot be told: " + why + ".";
    add(out.remedies, "crictl pull " + findings.reference.text() + " tells");
}

/// The first host that could not be asked from here, if containerd comes to it.
const HostFinding* firstUnasked(const ImageFindings& findings, const Resolution& resolution) {
    // What it comes to and cannot be read here may be what ends it.
    const size_t end = resolution.ends ? *resolution.failingAt + 1 : findings.hosts.size();
    for (size_t i = 0; i < end; ++i)
        if (findings.hosts[i].resolves && untoldAnswer(findings.hosts[i]) != nullptr)
            return &findings.hosts[i];
    return nullptr;
}

void judgeUnresolved(const ImageFindings& findings, const Resolution& resolution,
                     const ContainerdVersion& version, PullVerdict& out) {
    if (const HostFinding* unasked = firstUnasked(findings, resolution); unasked != nullptr) {
        const RegistryAnswer& untold = *untoldAnswer(*unasked);
        judgeUnasked(findings, untold.fault,
                     describeAnswer(untold, unasked->apiError, unasked->host.host), out);
        return;
    }
    if (resolution.endless) {
        const HostFinding& host = findings.hosts[*resolution.failingAt];
        out.errorClass = "hang";
        out.summary = "The pull would hang: " + host.host.host +
                      " takes the connection and never answers, and containerd waits for it "
                      "without an end; the hosts behind it are never asked.";
        out.kubeletError =
            "no error at all: the container stays in ContainerCreating with the "
            "event Pulling";
        add(out.remedies, "take " + host.host.host +
                              " out of the chain, or put it last (health: "
                              "{order: health} in the desired state does so by itself)");
        return;
    }
    out.kubeletError =
        kubeletError(findings, resolveStep(findings, version), resolution.error, version);
    if (!resolution.failingAt) {
        out.errorClass = findings.hosts.empty() ? "no-hosts" : "not-found";
        const bool noneAsked = std::none_of(findings.hosts.begin(), findings.hosts.end(),
                                            [](const HostFinding& host) { return host.resolves; });
        if (noneAsked) out.errorClass = "no-hosts";
        out.summary = noneAsked ? "No host of the chain may resolve a tag: none has both pull and "
                                  "resolve among its capabilities."
                                : "No host of the chain has this image.";
    } else {
        const HostFinding& told = findings.hosts[*resolution.failingAt];
        out.errorClass = hostClass(told);
        out.summary = "The image cannot be resolved: " + describeHost(told) + ".";
    }
    for (const auto& host : findings.hosts)
        if (host.resolves) add(out.remedies, remedyFor(host, findings.reference));
}

/// The first piece that could not be read.
const PieceFinding* brokenPiece(const ImageFindings& findings) {
    for (const auto& piece : findings.pieces)
        if (!piece.servedBy || piece.fault != Fault::None) return &piece;
    return nullptr;
}

void judgeBrokenPiece(const ImageFindings& findings, const PieceFinding& piece,
                      const ContainerdVersion& version, PullVerdict& out) {
    const std::string name = piece.what + " (" + piece.descriptor.digest.substr(0, 19) + "…)";
    if (piece.servedBy) {
        const std::string& host = findings.hosts[*piece.servedBy].host.host;
        out.errorClass = faultName(piece.fault);
        const bool late = piece.fault == Fault::Hang;
        out.summary =
            "The image resolves, but " + host +
            (late ? " does not deliver the " : " serves a broken ") + name + ": " + piece.error +
            (late ? ". containerd asks no other host while a body may still come."
             : piece.error == kBrokeOff ? ". No host of the chain gives the rest."
                                        : ". containerd took it for good: it asks no other host.");
        out.kubeletError =
            late ? "no error for as long as the body may still come (containerd 1.7 and "
                   "later give up after 5 minutes without progress)"
                 : kubeletError(findings, "", brokenPieceError(piece, version), version);
        add(out.remedies,
            late ? "look at the way to " + host +
                       ", ask with a longer --timeout, or take it out "
                       "of the chain"
                 : "have the operator of " + host +
                       " drop its cached copy of the blob, or take it out of the chain");
        return;
    }
    const PieceAttempt* told = piece.attempts.empty() ? nullptr : &piece.attempts.front();
    if (!piece.attempts.empty() && isEndless(piece.attempts.back().answer))
        told = &piece.attempts.back();
    if (told == nullptr) return;
    const HostFinding& host = findings.hosts[told->host];
    const ApiError why = parseApiError(told->answer.last().body);
    if (tellsNothing(told->answer.fault)) {
        judgeUnasked(findings, told->answer.fault,
                     "its " + name + ": " + describeAnswer(told->answer, why, host.host.host), out);
        return;
    }
    out.errorClass = answerClass(told->answer, why);
    out.summary = "The image resolves, but its " + name +
                  " is not to be had: " + describeAnswer(told->answer, why, host.host.host) + ".";
    out.kubeletError =
        kubeletError(findings, "", refusedPieceError(piece, told->answer, version), version);
    add(out.remedies,
        "pull the image by way of another mirror: this one lists it and does not give "
        "its content to this node");
}

/// What every pull pays for hosts in front of the one that works.
void noteCosts(const ImageFindings& findings, PullVerdict& out) {
    for (size_t i = 0; out.host && i < *out.host; ++i) {
        const HostFinding& before = findings.hosts[i];
        if (!before.resolves || before.head.fault != Fault::Unreachable) continue;
        const bool handshake = before.head.error.find("TLS handshake") != std::string::npos;
        const std::string wait = !before.host.dialTimeout.empty() ? before.host.dialTimeout
                                 : handshake                      ? "10s"
                                                                  : "30s";
        if (before.head.error.find("timeout") != std::string::npos)
            out.notes.push_back("every request waits " + wait + " for " + before.host.host +
                                " first; the pull is slow, though it works");
    }
    for (const auto& host : findings.hosts)
        if (host.resolves && isEndless(host.head) && out.works)
            out.notes.push_back(host.host.host +
                                " hangs; it stands behind the host that works, and would hold up "
                                "every pull that comes to it");
}

}  // namespace

PullVerdict judgePull(const ImageFindings& findings, const ContainerdVersion& version) {
    PullVerdict out;
    if (judgeChain(findings, version, out)) return out;
    const Resolution resolution = resolveAmong(findings.hosts, findings.reference, version);
    if (!resolution.winner) {
        judgeUnresolved(findings, resolution, version, out);
        return out;
    }
    out.host = resolution.winner;
    const std::string& host = findings.hosts[*out.host].host.host;
    if (const PieceFinding* broken = brokenPiece(findings); broken != nullptr) {
        judgeBrokenPiece(findings, *broken, version, out);
    } else if (!findings.problem.empty()) {
        out.errorClass = "image";
        out.summary =
            "The image resolves at " + host + ", but is of no use here: " + findings.problem + ".";
        out.kubeletError =
            kubeletError(findings, "", uselessImageError(findings, version), version);
        out.remedies.push_back(
            findings.uselessness == ImageFindings::Uselessness::NoPlatform
                ? "use an image that is built for " + findings.platform.text()
                : "have the operator of " + host +
                      " look into what it serves (a login page, a cache that is damaged), or take "
                      "it out of the chain");
    } else if (findings.layersLeft > 0) {
        out.works = true;
        out.summary = "The pull works, through " + host + ", as far as it was looked at.";
        out.notes.push_back(host + " is so slow that the last " +
                            std::to_string(findings.layersLeft) +
                            " layers were not looked at; explain --full takes the time for them");
    } else {
        out.works = true;
        out.summary = "The pull works, through " + host + ".";
    }
    noteCosts(findings, out);
    return out;
}

void judgeRuntime(const ObservedNode& node, const std::string& unit, PullVerdict& verdict) {
    const bool refused = node.cri.isKnown() && !node.cri.value().ready;
    if (!node.version.isUnknown() && !refused) return;
    const std::string& why = refused ? node.cri.value().error : node.version.why();
    if (!refused && why.find("Permission denied") != std::string::npos) {
        verdict.notes.push_back("containerd was not asked (" + why +
                                "): as root this tells what the running one would do");
        return;
    }
    verdict.summary = std::string("Nothing is pulled on this node: ") +
                      (refused ? "CRI is not loaded: " : "") + why +
                      (verdict.works ? ". The mirrors have the image." : ". " + verdict.summary);
    if (verdict.works) verdict.remedies.clear();
    verdict.works = false;
    verdict.errorClass = refused ? "cri" : "containerd";
    verdict.kubeletError = "";
    verdict.remedies.insert(verdict.remedies.begin(),
                            refused ? "nodemirrorctl doctor tells what keeps CRI from loading"
                                    : "systemctl status " + unit + "; journalctl -u " + unit);
}

}  // namespace nodemirror
