#include "desired/parse.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/upstream.hpp"
#include "import/imported.hpp"
#include "targets.hpp"

namespace nodemirror::fuzz {

namespace {

Result<std::string> readFile(const std::string&) { return std::string("value"); }

void checkWritten(std::vector<ImportedRegistry> registries) {
    const std::string yaml = writeDesired(registries, {"a note"});
    const ParsedDesired parsed = parseDesired(yaml, readFile, Certificates::Trust);
    // What was found may be wrong in itself, and import says so; it must never be no YAML, for
    // then a value has got out of its quotes.
    for (const auto& problem : parsed.problems)
        expect(problem.message.find("no valid YAML") == std::string::npos, "YAML is written");
}

}  // namespace

/// What is imported, from k3s's registries.yaml or from a hosts.toml, is written as valid YAML.
void importedFiles(std::string_view input) {
    if (const auto k3s = importK3s(std::string(input), "registries.yaml")) checkWritten(*k3s);
    for (const ContainerdVersion version :
         {ContainerdVersion{1, 7, 24}, ContainerdVersion{2, 1, 9}}) {
        Decoded decoded = decodeHostsToml(input, "/certs/docker.io", version);
        if (!decoded.valid) continue;
        fillDefaultHost(decoded.hosts, "docker.io", version);
        ChainReading reading;
        reading.registry = "docker.io";
        reading.directory = "docker.io";
        reading.hosts = std::move(decoded.hosts);
        checkWritten({importReading(reading, "/certs", version)});
    }
}

}  // namespace nodemirror::fuzz
