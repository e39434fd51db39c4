#include "desired/parse_mirror.hpp"

#include "base/text.hpp"
#include "desired/url.hpp"
#include "tls/pem.hpp"

#include <algorithm>
#include <cerrno>
#include <regex>

namespace nodemirror {

namespace {

/// Which of a user's words may be repeated to them: somebody will put a token where the name of its
/// file belongs.
enum class Naming { Certificate, Secret };

std::optional<std::string> readNamed(YamlFields& fields, const Field& field,
                                     const std::string& path, const FileReader& readFile,
                                     Naming naming = Naming::Certificate) {
    const bool secret = naming == Naming::Secret;
    if (path.empty() || path.front() != '/') {
        fields.problem(field, secret ? "must be the absolute path of a file that holds the value; "
                                       "a value itself goes under headers"
                                     : "must be an absolute path, and is " + inQuotes(path));
        return std::nullopt;
    }
    auto content = readFile(path);
    if (content) return std::move(*content);
    const Error& error = content.error();
    const bool isName = !secret || error.code() == 0 || error.code() == EACCES;
    fields.problem(field, "cannot read " + (isName ? inQuotes(path) : "the file that it names") +
                              ": " + error.reason() + "; " +
                              (error.remedy().empty() ? "put the file there, or remove this line"
                                                      : error.remedy()));
    return std::nullopt;
}

std::vector<std::string> parseCa(YamlFields& fields, const Field& field, const Files& files) {
    std::vector<std::string> out;
    const bool single = field.node->isScalar();
    for (const auto& item : single ? std::vector<Field>{field} : fields.list(field)) {
        const auto path = fields.string(item);
        if (!path) continue;
        out.push_back(*path);
        if (!files.checkCertificates) continue;
        auto wrong = files.certificateProblems.find(*path);
        if (wrong == files.certificateProblems.end()) {
            const auto pem = readNamed(fields, item, *path, files.read);
            if (!pem) continue;
            wrong = files.certificateProblems.emplace(*path, caProblem(*pem)).first;
        }
        if (!wrong->second.empty()) fields.problem(item, inQuotes(*path) + " " + wrong->second);
    }
    return out;
}

std::optional<ClientPair> parseClient(YamlFields& fields, const Field& field, const Files& files) {
    auto keys = fields.map(field, {"cert", "key"});
    if (!field.node->isMap()) return std::nullopt;
    for (const char* name : {"cert", "key"})
        if (!keys.count(name) && !field.node->hasKey(name))
            fields.problem(field, std::string("needs both cert and key; ") + name + " is missing");
    if (!keys.count("cert") || !keys.count("key")) return std::nullopt;
    const auto cert = fields.string(keys["cert"]);
    const auto key = fields.string(keys["key"]);
    if (!cert || !key) return std::nullopt;
    if (files.checkCertificates) {
        const auto certPem = readNamed(fields, keys["cert"], *cert, files.read);
        const auto keyPem = readNamed(fields, keys["key"], *key, files.read);
        if (certPem && keyPem) {
            const auto [wrong, fresh] = files.certificateProblems.try_emplace(*cert + "\n" + *key);
            if (fresh) wrong->second = clientPairProblem(*certPem, *keyPem);
            if (!wrong->second.empty())
                fields.problem(field,
                               inQuotes(*cert) + " and " + inQuotes(*key) + ": " + wrong->second);
        }
    }
    return ClientPair{*cert, *key};
}

bool isHeaderName(const std::string& name) {
    static const std::regex token("[!#$%&'*+.^_`|~0-9A-Za-z-]+");  // RFC 9110, 5.6.2
    constexpr size_t kLongest = 200;
    return name.size() <= kLongest && std::regex_match(name, token);
}

bool isHeaderValue(const std::string& value) {
    // Longer ones no server takes, and neither do HTTP libraries.
    constexpr size_t kLongest = 32 << 10;
    // hosts.toml is UTF-8, and its strings can hold nothing else.
    return value.size() <= kLongest && isUtf8(value) &&
           std::none_of(value.begin(), value.end(),
                        [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

using Headers = std::map<std::string, std::vector<Secret>>;

void parseHeaders(YamlFields& fields, const Field& field, Headers& out) {
    for (const auto& [name, value] : fields.entries(field)) {
        if (!isHeaderName(name)) {
            fields.problem(value, "is no valid HTTP header name");
            continue;
        }
        std::vector<Secret> values;
        if (value.node->isScalar()) {
            values.emplace_back(value.node->text);
        } else {
            for (auto& text : fields.strings(value)) values.emplace_back(std::move(text));
        }
        for (const auto& secret : values)
            if (!isHeaderValue(secret.reveal()))
                fields.problem(value,
                               "its value is no header's: one line of UTF-8, of at most 32 KiB");
        if (!values.empty()) out[name] = std::move(values);
    }
}

void parseHeaderFiles(YamlFields& fields, const Field& field, const Files& files, Headers& out) {
    for (const auto& [name, value] : fields.entries(field)) {
        if (!isHeaderName(name)) {
            fields.problem(value, "is no valid HTTP header name");
            continue;
        }
        const auto path = fields.string(value);
        if (!path) continue;
        if (out.count(name)) {
            fields.problem(value, "is given in headers too; keep one of them");
            continue;
        }
        const auto content = readNamed(fields, value, *path, files.read, Naming::Secret);
        if (!content) continue;
        files.headerFiles[*path] = *content;
        const std::string text = trim(*content);
        if (text.empty()) {
            fields.problem(value, inQuotes(*path) + " is empty; write the header's value into it");
        } else if (!isHeaderValue(text)) {
            fields.problem(
                value,
                inQuotes(*path) + " is no header's value: one line of UTF-8, of at most 32 KiB");
        } else {
            out[name].emplace_back(text);
        }
    }
}

std::vector<std::string> parseCapabilities(YamlFields& fields, const Field& field) {
    std::vector<std::string> out;
    const std::vector<std::string> known{"pull", "resolve", "push"};
    const auto items = fields.list(field);
    for (const auto& item : items) {
        const auto index = fields.oneOf(item, known);
        if (!index) continue;
        if (std::find(out.begin(), out.end(), known[*index]) == out.end())
            out.push_back(known[*index]);
    }
    if (field.node->isSequence() && items.empty())
        fields.problem(field, "is empty, which containerd reads as all; write [pull, resolve]");
    std::sort(out.begin(), out.end());
    return out;
}

void checkTlsOptions(YamlFields& fields, const std::map<std::string, Field>& keys,
                     const Mirror& mirror) {
    if (mirror.url.scheme != "http") return;
    for (const char* name : {"ca", "client"})
        if (keys.count(name))
            fields.problem(keys.at(name),
                           "does not go with an http:// URL; use https://, or remove it");
    if (mirror.skipVerify)
        fields.problem(keys.at("skipVerify"),
                       "does not go with an http:// URL: containerd 1.7 and later would try https "
                       "first; remove it");
}

/// Parts that containerd takes for directories, and cleans away.
bool hasDots(const std::string& path) {
    const auto parts = split(path, '/');
    return std::any_of(parts.begin(), parts.end(),
                       [](const std::string& part) { return part == "." || part == ".."; });
}

}  // namespace

std::optional<Mirror> parseMirror(YamlFields& fields, const Field& field, const Files& files) {
    auto keys =
        fields.map(field, {"url", "capabilities", "repositoryPrefix", "ca", "client", "skipVerify",
                           "overridePath", "headers", "headerFiles", "dialTimeout"});
    if (!field.node->isMap()) return std::nullopt;
    Mirror mirror;
    if (keys.count("capabilities"))
        mirror.capabilities = parseCapabilities(fields, keys["capabilities"]);
    if (keys.count("repositoryPrefix")) {
        const auto prefix = fields.string(keys["repositoryPrefix"]);
        static const std::regex path("[a-z0-9._-]+(/[a-z0-9._-]+)*");
        constexpr size_t kLongest = 255;  // of a repository name, in distribution
        if (prefix &&
            (prefix->size() > kLongest || !std::regex_match(*prefix, path) || hasDots(*prefix)))
            fields.problem(keys["repositoryPrefix"],
                           "must be a repository path such as dockerhub or team/cache, without "
                           "slashes at its ends");
        mirror.repositoryPrefix = prefix.value_or("");
    }
    if (keys.count("ca")) mirror.ca = parseCa(fields, keys["ca"], files);
    if (keys.count("client")) mirror.client = parseClient(fields, keys["client"], files);
    if (keys.count("skipVerify"))
        mirror.skipVerify = fields.boolean(keys["skipVerify"]).value_or(false);
    if (keys.count("overridePath"))
        mirror.overridePath = fields.boolean(keys["overridePath"]).value_or(false);
    if (keys.count("headers")) parseHeaders(fields, keys["headers"], mirror.headers);
    if (keys.count("headerFiles"))
        parseHeaderFiles(fields, keys["headerFiles"], files, mirror.headers);
    if (keys.count("dialTimeout") && fields.duration(keys["dialTimeout"]))
        mirror.dialTimeout = keys["dialTimeout"].node->text;

    if (!keys.count("url")) {
        if (!field.node->hasKey("url"))
            fields.problem(field, "needs a url, such as https://mirror.example");
        return std::nullopt;
    }
    const auto text = fields.string(keys["url"]);
    if (!text) return std::nullopt;
    auto url = parseUrl(*text);
    if (!url) {
        fields.problem(keys["url"], url.error().reason());
        return std::nullopt;
    }
    mirror.url = std::move(*url);
    checkTlsOptions(fields, keys, mirror);
    return mirror;
}

}  // namespace nodemirror
