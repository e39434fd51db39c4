#include "cli/inspect.hpp"

#include "base/text.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/upstream.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>

namespace nodemirror::cli {

Document toJson(const ChainReading& reading) {
    Document hosts = Document::array();
    for (const auto& host : reading.hosts) {
        Document header = Document::object();
        // Values may be secrets, and this is what people paste into tickets.
        for (const auto& [name, values] : host.header) header[name] = "<redacted>";
        Document item;
        item["url"] = host.url();
        item["capabilities"] = host.capabilities;
        item["header"] = std::move(header);
        item["skipVerify"] = host.skipVerify.value_or(false);
        item["ca"] = host.ca;
        item["client"] = host.client;
        item["dialTimeout"] = host.dialTimeout;
        hosts.push_back(std::move(item));
    }
    Document out;
    out["registry"] = reading.registry;
    out["directory"] = reading.directory;
    out["error"] = reading.error;
    out["ignored"] = reading.ignored;
    out["warnings"] = textsOf(reading.warnings);
    out["hosts"] = std::move(hosts);
    return out;
}

namespace {

void printText(const ChainReading& reading, const Output& output) {
    std::cout << paint(output, Colour::Bold, reading.registry) << "  "
              << paint(output, Colour::Dim,
                       reading.directory.empty() ? "no directory: upstream alone is asked"
                                                 : "from " + reading.directory + "/")
              << "\n";
    if (!reading.error.empty())
        std::cout << "  " << paint(output, Colour::Bad, reading.consequence()) << "\n";
    if (!reading.ignored.empty())
        std::cout << "  " << paint(output, Colour::Bad, "the file is dropped: " + reading.ignored)
                  << "\n";
    for (const auto& warning : reading.warnings)
        std::cout << "  " << paint(output, Colour::Warn, "warning: " + warning.text) << "\n";
    Table table;
    for (size_t i = 0; i < reading.hosts.size(); ++i) {
        const ChainHost& host = reading.hosts[i];
        std::vector<std::string> notes;
        if (host.skipVerify.value_or(false)) notes.emplace_back("skip_verify");
        if (!host.ca.empty()) notes.push_back("ca " + join(host.ca, " "));
        if (!host.client.empty()) notes.emplace_back("client certificate");
        for (const auto& [name, values] : host.header) notes.push_back("header " + name);
        if (!host.dialTimeout.empty()) notes.push_back("dial_timeout " + host.dialTimeout);
        table.row(
            {{Colour::Dim, std::to_string(i + 1)},
             {Colour::None, isAnyUpstream(host) ? "the registry that is asked for" : host.url()},
             {Colour::Dim, join(host.capabilities, ",")},
             {Colour::Dim, join(notes, "; ")}});
    }
    table.print(output, "  ");
}

}  // namespace

int inspect(const std::string& root, std::vector<std::string> registries,
            const std::string& versionText, const Output& output) {
    const auto version = parseContainerdVersion(versionText);
    if (!version || !version->readsCertsDir()) {
        complain("--containerd " + inQuotes(versionText) +
                 " is no version of containerd that is known here; write it as 1.6, 1.7.24 or 2.1");
        return kUsage;
    }
    const auto names = directoriesUnder(root);
    if (!names.isKnown()) {
        complain((names.isAbsent() ? "there is no " + root : names.why()) +
                 "; give the directory that holds one directory a registry, such as "
                 "/etc/containerd/certs.d");
        return kUsage;
    }
    const auto& all = names.value();
    const auto holds = [&root](const std::string& name) {
        std::error_code unseen;
        return std::filesystem::is_directory(root + "/" + name, unseen);
    };
    // A stray hosts.toml beside the registries' directories is none of them.
    if (registries.empty() && std::find(all.begin(), all.end(), "hosts.toml") != all.end() &&
        std::none_of(all.begin(), all.end(), holds)) {
        complain(root +
                 " is the directory of one registry; give the one above it, and the registry: "
                 "nodemirrorctl inspect /etc/containerd/certs.d docker.io");
        return kUsage;
    }
    if (registries.empty()) {
        std::set<std::string> found;
        for (const auto& name : names.value()) found.insert(registryOfDirectory(name));
        registries.assign(found.begin(), found.end());
    }
    if (output.format == Format::Text)
        std::cout << paint(output, Colour::Dim,
                           "As containerd " + version->text() +
                               " reads it (--containerd VERSION for another):")
                  << "\n";
    Document documents = Document::array();
    bool good = true;
    for (const auto& registry : registries) {
        const ChainReading reading = readChain(root, registry, *version);
        good = good && reading.error.empty() && reading.ignored.empty();
        if (output.format == Format::Text)
            printText(reading, output);
        else if (output.format == Format::Json)
            std::cout << toJson(reading).dump(-1, ' ', true, Document::error_handler_t::replace)
                      << "\n";
        else
            documents.push_back(toJson(reading));
    }
    if (output.format == Format::Yaml) printDocument(output, documents);
    return good ? kFine : kAnswerIsNo;
}

}  // namespace nodemirror::cli
