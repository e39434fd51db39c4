#include "hosts_toml/decode.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/render.hpp"
#include "hosts_toml/upstream.hpp"
#include "support/result_printer.hpp"
#include "unit/pem_samples.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

Registry registryOf(std::vector<std::string> urlsOfMirrors, Fallback fallback) {
    Registry registry;
    registry.name = "docker.io";
    registry.fallback = fallback;
    for (const auto& host : urlsOfMirrors) {
        Mirror mirror;
        mirror.url = Url{"https", host, ""};
        registry.mirrors.push_back(mirror);
    }
    return registry;
}

}  // namespace

TEST_CASE("what is rendered is read alike by every version") {
    for (const Fallback fallback : {Fallback::Upstream, Fallback::None}) {
        for (const size_t count : {1U, 2U, 3U}) {
            for (int variant = 0; variant < 32; ++variant) {
                Registry registry;
                registry.name = (variant & 16) != 0 ? "registry.example:5000" : "docker.io";
                registry.fallback = fallback;
                for (size_t i = 0; i < count; ++i) {
                    Mirror mirror;
                    mirror.url = Url{"https", "m" + std::to_string(i) + ".example:8443",
                                     (variant & 1) != 0 ? "/base" : ""};
                    if ((variant & 2) != 0) mirror.repositoryPrefix = "team/hub";
                    if ((variant & 4) != 0)
                        mirror.headers["X-odd'`~.1"] = {Secret("a\"b\\c\t\xc3\xa9"), Secret("")};
                    if ((variant & 8) != 0) {
                        mirror.ca = {"/etc/ca.pem"};
                        mirror.client = ClientPair{"/c.pem", "/k.pem"};
                        mirror.skipVerify = true;
                        mirror.dialTimeout = "1500ms";
                        mirror.capabilities = {"pull"};
                    }
                    registry.mirrors.push_back(mirror);
                }
                CAPTURE(count, variant);
                const auto rendered = renderHosts(registry);
                REQUIRE(rendered);
                CHECK(rendered->secret == ((variant & 4) != 0));
                CHECK_THAT(rendered->redacted, !Catch::Contains("a\\\"b"));
                const Decoded raw = decodeHostsToml(rendered->text, "/x", k21);
                const auto again = registryOfChain(raw.hosts, registry.name);
                REQUIRE(again);
                CHECK(intendedChain(*again) == intendedChain(registry));
                CHECK(again->fallback == fallback);
                CHECK(renderHosts(*again));
                if (fallback == Fallback::Upstream) continue;
                // No route to upstream is left, in any version.
                for (const auto& version : {k16, k17, k21}) {
                    Decoded decoded = decodeHostsToml(rendered->text, "/x", version);
                    fillDefaultHost(decoded.hosts, registry.name, version);
                    CHECK(decoded.hosts.size() == count);
                    for (const auto& host : decoded.hosts)
                        CHECK_THAT(host.host, Catch::StartsWith("m"));
                }
            }
        }
    }
}

TEST_CASE("the text that is rendered") {
    Registry registry = registryOf({"a.example", "b.example"}, Fallback::None);
    registry.mirrors[1].repositoryPrefix = "hub";
    const auto rendered = renderHosts(registry);
    REQUIRE(rendered);
    CHECK_THAT(rendered->text, Catch::EndsWith("server = \"https://b.example/v2/hub\"\n"
                                               "capabilities = [\"pull\", \"resolve\"]\n"
                                               "override_path = true\n"
                                               "\n[host.\"https://a.example\"]\n"
                                               "  capabilities = [\"pull\", \"resolve\"]\n"));
}

TEST_CASE("the registry of a chain") {
    const auto of = [](const std::string& text) {
        return registryOfChain(decodeHostsToml(text, "/x", k17).hosts, "fleet.test");
    };
    // A server of its own is asked only where a mirror is down, unlike a mirror that stands last.
    const auto served = of("server = \"https://s.example\"\n[host.\"https://a.example\"]\n");
    REQUIRE(served);
    REQUIRE(served->server);
    CHECK(served->server->text() == "https://s.example");
    CHECK(served->mirrors.size() == 1);
    const auto last = of("server = \"https://s.example\"\ncapabilities = [\"pull\"]\n[host]\n");
    REQUIRE(last);
    CHECK(last->fallback == Fallback::None);
    CHECK(last->mirrors.size() == 1);
    REQUIRE(of(upstreamOnly().text));
    CHECK(of(upstreamOnly().text)->mirrors.empty());
    // The registry itself, whatever is said of it, is no mirror of itself.
    CHECK_FALSE(
        of("server = \"https://fleet.test\"\ncapabilities = [\"pull\"]\n"
           "[host.\"https://a.example\"]\n"));
    // 2.2 names a fourth capability where a text names none.
    const std::string plain = "server = \"https://s.example\"\n[host.\"https://a.example\"]\n";
    const auto newer = registryOfChain(decodeHostsToml(plain, "/x", {2, 2, 0}).hosts, "fleet.test");
    REQUIRE(newer);
    CHECK(newer->server);
    CHECK(renderHosts(*newer));
    // What the desired state cannot say is not said otherwise.
    CHECK_FALSE(of("[host.\"https://a.example\"]\n  client = [\"/both.pem\"]\n"));
    CHECK_FALSE(of("skip_verify = true\n[host.\"https://a.example\"]\n"));
}
