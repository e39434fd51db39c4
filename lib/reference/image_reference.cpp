#include "reference/image_reference.hpp"

#include "base/text.hpp"

#include <regex>

namespace nodemirror {

std::string ImageReference::text() const {
    std::string out = host + "/" + repository;
    if (!tag.empty()) out += ":" + tag;
    if (!digest.empty()) out += "@" + digest;
    return out;
}

namespace {

constexpr size_t kLongestReference = 4096;
constexpr size_t kLongestName = 255;  // distribution: NameTotalLengthMax

Error refused(std::string_view text, std::string reason) {
    return {"read the image reference", inQuotes(text.substr(0, 300)), std::move(reason),
            "write it as host/repository:tag or host/repository@sha256:digest"};
}

/// distribution's splitDockerDomain: what comes before the first '/' is a host only if it could
/// not be a path component of Docker Hub.
void splitHost(std::string_view name, ImageReference& out) {
    const size_t slash = name.find('/');
    const std::string_view first = slash == std::string_view::npos ? "" : name.substr(0, slash);
    const bool isHost = !first.empty() && (first.find_first_of(".:") != std::string_view::npos ||
                                           first == "localhost" || lower(first) != first);
    out.host = isHost ? std::string(first) : "docker.io";
    out.repository = std::string(isHost ? name.substr(slash + 1) : name);
    if (out.host == "index.docker.io") out.host = "docker.io";
    if (out.host == "docker.io" && out.repository.find('/') == std::string::npos)
        out.repository = "library/" + out.repository;
}

std::regex compiled(const char* pattern) {
    return std::regex(pattern, std::regex::ECMAScript | std::regex::optimize);
}

bool isId(const std::string& text) {
    static const std::regex pattern = compiled("[a-f0-9]{64}");
    return std::regex_match(text, pattern);
}

bool isTag(const std::string& text) {
    static const std::regex pattern = compiled("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}");
    return std::regex_match(text, pattern);
}

bool isHost(const std::string& text) {
    static const std::regex pattern = compiled(
        "([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
        "|\\[[A-Fa-f0-9:]+\\])(:[0-9]+)?");
    return std::regex_match(text, pattern);
}

bool isRepository(const std::string& text) {
    static const std::regex pattern =
        compiled("[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*");
    return std::regex_match(text, pattern);
}

bool isDigest(const std::string& text) {
    static const std::regex pattern =
        compiled("(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})");
    return std::regex_match(text, pattern);
}

}  // namespace

Result<ImageReference> parseImageReference(std::string_view text) {
    if (text.empty()) return refused(text, "it is empty");
    if (text.size() > kLongestReference) return refused(text, "it is too long");
    // distribution's ParseNormalizedNamed, since it could be an image's id.
    if (isId(std::string(text))) return refused(text, "64 hexadecimal digits are no name");
    ImageReference out;
    std::string_view name = text;
    if (const size_t at = name.find('@'); at != std::string_view::npos) {
        out.digest = std::string(name.substr(at + 1));
        name = name.substr(0, at);
        if (out.digest.empty()) return refused(text, "its digest is not valid");
    }
    const size_t slash = name.rfind('/');
    const size_t colon = name.rfind(':');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        out.tag = std::string(name.substr(colon + 1));
        name = name.substr(0, colon);
        if (!isTag(out.tag)) return refused(text, "its tag is not valid");
    }
    splitHost(name, out);
    // Of the whole name, what was left out of it included.
    if (out.host.size() + 1 + out.repository.size() > kLongestName)
        return refused(text, "its name is longer than 255 characters");
    if (!isHost(out.host)) return refused(text, "its host is not valid");
    if (!isRepository(out.repository))
        return refused(text, "its repository must be lower-case path components");
    if (!out.digest.empty()) {
        if (!isDigest(out.digest)) return refused(text, "its digest is not valid");
        out.tag.clear();
    } else if (out.tag.empty()) {
        out.tag = "latest";
    }
    return out;
}

}  // namespace nodemirror
