#include "desired/parse.hpp"
#include "hosts_toml/decode.hpp"
#include "hosts_toml/render.hpp"
#include "targets.hpp"

namespace nodemirror::fuzz {

namespace {

constexpr char kSecret[] = "c2VjcmV0LW9mLXRoZS1mdXp6ZXI";

Result<std::string> readFile(const std::string& path) {
    if (path.find("missing") != std::string::npos) return Error("read", path, "it is missing");
    return std::string(kSecret);
}

}  // namespace

/// Bad input gives problems with a place, never an exception; good input gives files that every
/// containerd reads as meant, and no secret where people look.
void desiredState(std::string_view input) {
    const std::string yaml(input);
    if (yaml.find(kSecret) != std::string::npos) return;  // then it is none
    for (const auto certificates : {Certificates::Check, Certificates::Trust}) {
        const ParsedDesired parsed = parseDesired(yaml, readFile, certificates);
        expect(parsed.desired.has_value() == parsed.problems.empty(), "problems, or a state");
        for (const auto& problem : parsed.problems) {
            expect(!problem.message.empty(), "a problem says what is wrong");
            expect(problem.message.find(kSecret) == std::string::npos, "no secret in a problem");
        }
        if (!parsed.desired) continue;
        for (const auto& registry : parsed.desired->registries) {
            const auto rendered = renderHosts(registry);
            expect(static_cast<bool>(rendered), "what is taken as valid can be rendered");
            expect(rendered->redacted.find(kSecret) == std::string::npos, "secrets are replaced");
            for (const auto& version : kTestedContainerds)
                expect(decodeHostsToml(rendered->text, "/certs/x", version).valid,
                       "containerd takes what was rendered");
        }
    }
}

}  // namespace nodemirror::fuzz
