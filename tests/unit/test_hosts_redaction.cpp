#include "hosts_toml/decode.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/reader.hpp"
#include "hosts_toml/redact.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {}  // namespace

TEST_CASE("what is too large to be told is not shown") {
    CHECK(redactHostsToml("x = [" + std::string(128 << 10, ' ') + "]\n") ==
          "# <not shown: it is larger than 128 KiB>\n");
}

TEST_CASE("a value that was not quoted is not repeated") {
    const std::string secret = "98765432109876543210";
    for (const std::string& line :
         {"X-Api-Key = " + secret, "X-Api-Key = \"Basic\" \"" + secret + "\"",
          "X-Api-Key = [\"Basic\" \"" + secret + "\"]",
          "X-Api-Key = 1" + secret + ".0e999" + secret, "X-Api-Key = 0x" + secret})
        for (const ContainerdVersion& version : {k16, k17, k21}) {
            CAPTURE(line, version.text());
            const auto decoded =
                decodeHostsToml("[host.\"https://a\".header]\n" + line + "\n", "/c", version);
            CHECK_FALSE(decoded.valid);
            CHECK_THAT(decoded.error, !Catch::Contains(secret));
            CHECK_THAT(decoded.error, Catch::Contains("line 2"));
        }
}

TEST_CASE("headers and credentials are taken out of what people see") {
    const std::string text =
        "server = \"https://robot:pw@s\"\n[host.\"https://a\".header]\n  Authorization = [\n"
        "    \"Basic c2VjcmV0\",\n  ]\n[host.\"https://b\"]\n  header = {X = \"c2VjcmV0\"}\n"
        "  capabilities = [\"pull\"]\n";
    const std::string shown = redactHostsToml(text);
    CHECK_THAT(shown, !Catch::Contains("c2VjcmV0"));
    CHECK_THAT(shown, !Catch::Contains("pw@"));
    CHECK_THAT(shown, Catch::Contains("[host.\"https://a\".header]"));
    CHECK_THAT(shown, Catch::Contains("capabilities = [\"pull\"]"));
}

TEST_CASE("credentials in the name of a host are not shown either") {
    const std::string text =
        "# was https://u:pw@a\n[host.\"https://robot:pw@a\"]\n  capability = [\"pull\"]\n"
        "  capabilities = \"pull\"\n[host.\"robot:pw@b\"]\n";
    CHECK_THAT(redactHostsToml(text), !Catch::Contains("pw@a"));
    // An escape hides no name of a header, in a key or in an inline table.
    for (const std::string hidden : {"\"https://a\" = {\"he\\u0061der\" = {\"X\" = \"pw\"}}\n",
                                     "\"https://a\".\"he\\x61der\" = {\"X\" = \"pw\"}\n"})
        CHECK_THAT(redactHostsToml("[host]\n" + hidden), !Catch::Contains("pw"));
    std::string said = decodeHostsToml(text, "/d", ContainerdVersion{2, 1, 0}).error;
    std::vector<Warning> warnings;
    lintHostsToml(text, {}, "x.example", ContainerdVersion{1, 7, 0}, warnings);
    for (const auto& one : textsOf(warnings)) said += "\n" + one;
    CHECK_THAT(said, Catch::Contains("capabilities must be"));
    CHECK_THAT(said, Catch::Contains("has no scheme"));
    CHECK_THAT(said, !Catch::Contains("pw"));
}
