#include "diagnose/kubelet_words.hpp"

#include "base/text.hpp"

#include <set>

namespace nodemirror {

namespace {

void replaceAll(std::string& text, const std::string& from, const std::string& to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

/// Some words are of the Go that built a containerd, or of a release.
std::string inWordsOf(const ContainerdVersion& version, std::string error) {
    if (!version.prefixesCertificateErrors())
        replaceAll(error, "tls: failed to verify certificate: ", "");
    // OpenSSL's reason; Go's is there only where a CA of the same name is known.
    const std::string unknown = "certificate signed by unknown authority";
    if (const size_t at = error.find(unknown + " ("); at != std::string::npos)
        error.erase(at + unknown.size(), error.find(')', at) + 1 - at - unknown.size());
    if (version.redactsQueries() && error.find("failed to do request: ") != std::string::npos)
        if (const size_t at = error.find("?ns="); at != std::string::npos)
            error.replace(at + 4, error.find_first_of("&\"", at) - at - 4, "%5BREDACTED%5D");
    return error;
}

/// "layer 2 of 3" and "manifest" begin the names of containerd's ingests.
std::string refOf(const PieceFinding& piece) {
    return piece.what.substr(0, piece.what.find(' ')) + "-" + piece.descriptor.digest;
}

/// Error of remotes/docker/errcode.go: the code in lower case, unless errdesc.go does not know it,
/// then the message.
std::string apiErrorText(const ApiError& error) {
    static const std::set<std::string> known{"UNSUPPORTED", "UNAUTHORIZED", "DENIED", "UNAVAILABLE",
                                             "TOOMANYREQUESTS"};
    return (known.count(error.code) ? lower(error.code) : "unknown") + ": " + error.message;
}

}  // namespace

std::string kubeletError(const ImageFindings& findings, const std::string& step,
                         const std::string& error, const ContainerdVersion& version) {
    const std::string image = inQuotes(findings.reference.text());
    const std::string words = inWordsOf(version, error);
    const bool notFound = words.size() >= 9 && words.compare(words.size() - 9, 9, "not found") == 0;
    // 2.1 looks for the platform before it pulls: that error stands alone.
    const bool alone = words.rfind("get image config descriptor", 0) == 0;
    return "Failed to pull image " + image +
           ": rpc error: code = " + (notFound ? "NotFound" : "Unknown") +
           " desc = " + (alone ? "" : "failed to pull and unpack image " + image + ": ") + step +
           words;
}

std::string brokenPieceError(const PieceFinding& piece, const ContainerdVersion& version) {
    const std::string failed = "failed commit on ref " + inQuotes(refOf(piece)) + ": ";
    if (piece.fault == Fault::Truncated)
        return version.tellsShortReads()
                   ? "short read: expected " + std::to_string(piece.descriptor.size) +
                         " bytes but got " + std::to_string(piece.came) + ": unexpected EOF"
                   : "failed to read expected number of bytes: unexpected EOF";
    if (piece.sha256.empty())
        return failed + inQuotes(refOf(piece)) +
               " failed size validation: " + std::to_string(piece.came) +
               " != " + std::to_string(piece.descriptor.size) + ": failed precondition";
    return failed + "unexpected commit digest sha256:" + piece.sha256 + ", expected " +
           piece.descriptor.digest + ": failed precondition";
}

std::string refusedPieceError(const PieceFinding& piece, const RegistryAnswer& answer,
                              const ContainerdVersion& version) {
    const std::string opening = "failed to copy: httpReadSeeker: failed open: ";
    if (answer.fault != Fault::None) return opening + answer.error;
    if (answer.status == 404)
        return opening + "could not fetch content descriptor " + piece.descriptor.digest + " (" +
               piece.descriptor.mediaType + ") from remote: not found";
    const ApiError body = parseApiError(answer.last().body);
    const std::string told = answer.last().url + ": " + statusLine(answer.status);
    if (version.tellsUnexpectedStatusOfBlobs())
        return opening + "unexpected status from GET request to " + told +
               (body.code.empty() ? "" : "\n" + apiErrorText(body));
    return opening + "unexpected status code " + told +
           (body.code.empty() ? "" : " - Server message: " + apiErrorText(body));
}

std::string uselessImageError(const ImageFindings& findings, const ContainerdVersion& version) {
    const std::string digest =
        findings.pieces.empty() ? "" : findings.pieces.front().descriptor.digest;
    switch (findings.uselessness) {
        case ImageFindings::Uselessness::NoPlatform:
            return version.namesManifestWithoutPlatform()
                       ? "get image config descriptor: no match for platform in manifest " +
                             digest + ": not found"
                       : "no match for platform in manifest: not found";
        case ImageFindings::Uselessness::NotJson:
            return "children: invalid desc " + digest + ": invalid character '" +
                   findings.firstCharacter + "' looking for beginning of value";
        case ImageFindings::Uselessness::None:
        case ImageFindings::Uselessness::Other: break;
    }
    return findings.problem;
}

}  // namespace nodemirror
