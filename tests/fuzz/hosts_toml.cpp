#include "hosts_toml/decode.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/upstream.hpp"
#include "targets.hpp"
#include "toml/expressions.hpp"

namespace nodemirror::fuzz {

/// Any bytes are read as one of the versions reads them, and header values are never shown.
void hostsToml(std::string_view input) {
    for (const ContainerdVersion version :
         {ContainerdVersion{1, 6, 20}, ContainerdVersion{1, 7, 24}, ContainerdVersion{2, 1, 9},
          ContainerdVersion{2, 2, 0}}) {
        Decoded decoded = decodeHostsToml(input, "/certs/docker.io", version);
        expect(decoded.valid || !decoded.error.empty(), "a dropped file has a reason");
        if (!decoded.valid) continue;
        expect(!decoded.hosts.empty(), "the server is always there");
        std::vector<Warning> warnings;
        lintHostsToml(input, decoded.hosts, "docker.io", version, warnings);
        fillDefaultHost(decoded.hosts, "docker.io", version);
        const std::string shown = redactHostsToml(std::string(input));
        if (shown != input) continue;
        for (const auto& host : decoded.hosts)
            for (const auto& [name, values] : host.header)
                for (const auto& value : values)
                    expect(value.empty(), "a file with header values is not shown as it is");
    }
    size_t last = 0;
    for (const auto& expression : toml_text::scanExpressions(input)) {
        expect(last <= expression.begin && expression.begin < expression.end &&
                   expression.end <= expression.lineEnd && expression.lineEnd <= input.size(),
               "expressions follow one another");
        last = expression.end;
    }
}

}  // namespace nodemirror::fuzz
