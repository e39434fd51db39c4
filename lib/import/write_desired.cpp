#include "base/text.hpp"
#include "desired/url.hpp"
#include "import/imported.hpp"

#include <regex>

namespace nodemirror {

namespace {

/// A YAML scalar: plain where it can only be a string, else in double quotes.
std::string scalar(const std::string& text) {
    static const std::regex plain(
        "[A-Za-z_/][A-Za-z0-9_./-]*(:[0-9]+)?|https?://[A-Za-z0-9_./:-]*[A-Za-z0-9_./-]");
    static const std::regex word("(true|false|yes|no|on|off|null|y|n)", std::regex::icase);
    constexpr size_t kLongest = 1000;  // std::regex recurses with the length of a text
    if (text.size() <= kLongest && std::regex_match(text, plain) && !std::regex_match(text, word))
        return text;
    return quotedScalar(text);
}

std::string list(const std::vector<std::string>& items) {
    std::vector<std::string> out;
    for (const auto& item : items) out.push_back(scalar(item));
    return "[" + join(out, ", ") + "]";
}

void comment(std::string& out, const std::string& indent, const std::string& text) {
    for (const auto& line : split(printable(text), '\n')) out += indent + "# " + line + "\n";
}

/// Says so where a header cannot be carried over for its name: YAML takes a key in quotes of 1024
/// characters at most (YAML 1.2, 7.4.2), and escaping makes six of one.
bool leavesOut(std::string& out, const std::string& indent, const std::string& header) {
    constexpr size_t kLongest = 150;
    if (header.size() <= kLongest) return false;
    comment(out, indent,
            "Left out: a header whose name has " + std::to_string(header.size()) + " characters.");
    return true;
}

/// A file name for a secret header of a host.
std::string secretFile(const std::string& host, const std::string& header) {
    std::string name = host + "-" + lower(header);
    for (char& c : name)
        if (c == ':' || c == '[' || c == ']') c = '-';
    return "/etc/nodemirrord/secret/" + name;
}

void writeMirror(std::string& out, const ImportedMirror& item) {
    const Mirror& mirror = item.mirror;
    const std::string indent = "        ";
    for (const auto& note : item.notes) comment(out, "      ", note);
    out += "      - url: " + scalar(mirror.url.text()) + "\n";
    if (mirror.capabilities != std::vector<std::string>{"pull", "resolve"})
        out += indent + "capabilities: " + list(mirror.capabilities) + "\n";
    if (!mirror.repositoryPrefix.empty())
        out += indent + "repositoryPrefix: " + scalar(mirror.repositoryPrefix) + "\n";
    if (mirror.overridePath) out += indent + "overridePath: true\n";
    if (!mirror.ca.empty()) out += indent + "ca: " + list(mirror.ca) + "\n";
    if (mirror.client)
        out += indent + "client: {cert: " + scalar(mirror.client->cert) +
               ", key: " + scalar(mirror.client->key) + "}\n";
    if (mirror.skipVerify) out += indent + "skipVerify: true\n";
    if (!mirror.dialTimeout.empty())
        out += indent + "dialTimeout: " + scalar(mirror.dialTimeout) + "\n";
    if (!mirror.headers.empty()) {
        out += indent + "headers:\n";
        for (const auto& [name, values] : mirror.headers) {
            if (leavesOut(out, indent, name)) continue;
            std::vector<std::string> texts;
            for (const auto& value : values) texts.push_back(value.reveal());
            out += indent + "  " + scalar(name) + ": " + list(texts) + "\n";
        }
    }
    if (item.secretHeaders.empty()) return;
    comment(out, indent, "The values are not repeated here: write each into its file (mode 0600).");
    out += indent + "headerFiles:\n";
    for (const auto& name : item.secretHeaders)
        if (!leavesOut(out, indent, name))
            out += indent + "  " + scalar(name) + ": " + scalar(secretFile(mirror.url.host, name)) +
                   "\n";
}

/// Why a registry is not declared; empty where it is. It needs a name, and mirrors or a server.
std::string whyLeftOut(const ImportedRegistry& registry) {
    if (const std::string wrong = registryNameProblem(registry.name); !wrong.empty())
        return "not declared, the name " + wrong;
    const bool empty = registry.mirrors.empty() && !registry.server;
    return empty ? "nothing to declare, its own upstream is asked" : "";
}

}  // namespace

std::string writeDesired(const std::vector<ImportedRegistry>& registries,
                         const std::vector<std::string>& notes) {
    std::string out =
        "# Made by nodemirrorctl import from what this node has. Read it, then put it "
        "at\n# /etc/nodemirrord/desired.yaml.\n";
    for (const auto& note : notes) comment(out, "", note);
    out += "apiVersion: nodemirrord/v1\n";
    std::string body;
    bool any = false;
    for (const auto& registry : registries) {
        for (const auto& note : registry.notes) comment(body, "  ", registry.name + ": " + note);
        if (const std::string why = whyLeftOut(registry); !why.empty()) {
            comment(body, "  ", registry.name + ": " + why);
            continue;
        }
        any = true;
        body += "  " + scalar(registry.name) + ":\n";
        if (registry.fallback == Fallback::None) body += "    fallback: none\n";
        if (registry.server) body += "    server: " + scalar(registry.server->text()) + "\n";
        if (!registry.mirrors.empty()) body += "    mirrors:\n";
        for (const auto& mirror : registry.mirrors) writeMirror(body, mirror);
    }
    out += any ? "registries:\n" + body : body + "registries: {}\n";
    return out;
}

}  // namespace nodemirror
