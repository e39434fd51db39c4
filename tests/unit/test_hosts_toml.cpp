#include "hosts_toml/decode.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/reader.hpp"
#include "hosts_toml/redact.hpp"
#include "hosts_toml/render.hpp"
#include "hosts_toml/upstream.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"
#include "toml/expressions.hpp"
#include "unit/pem_samples.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace nodemirror;

namespace {

constexpr ContainerdVersion k16{1, 6, 20};
constexpr ContainerdVersion k17{1, 7, 24};
constexpr ContainerdVersion k21{2, 1, 9};
constexpr ContainerdVersion k22{2, 2, 0};

/// The URLs in order; "dropped", or "crash", where that is what becomes of the file.
std::string urls(const std::string& text, const ContainerdVersion& version,
                 const std::string& registry = "docker.io") {
    Decoded decoded = decodeHostsToml(text, "/certs/docker.io", version);
    if (decoded.crashes) return "crash";
    if (!decoded.valid) return "dropped";
    fillDefaultHost(decoded.hosts, registry, version);
    std::string out;
    for (const auto& host : decoded.hosts) out += (out.empty() ? "" : " ") + host.url();
    return out;
}

}  // namespace

TEST_CASE("the hosts that each version makes of a file") {
    const std::string hub = "https://registry-1.docker.io/v2";
    struct Case {
        std::string text, v1, v2;
    };
    const std::vector<Case> cases{
        {"[host.\"https://a\"]\n[host.\"https://b\"]\n", "https://a/v2 https://b/v2 " + hub,
         "https://a/v2 https://b/v2 " + hub},
        {"server = \"https://s\"\n", "dropped", "https://s/v2"},
        {"server = \"https://s\"\n[host]\n", "https://s/v2", "https://s/v2"},
        {"[host]\n\"https://a\" = {}\n", "https://a/v2 " + hub, hub},
        {"[host.\"https://a\"]\n[host.\"https://b\"]\n[host.\"https://a\".header]\nx = \"y\"\n",
         "https://a/v2 https://b/v2 " + hub, "https://a/v2 https://b/v2 https://a/v2 " + hub},
        {"[host.\"https://a\"]\ncapabilities = [\"pull\", \"resolv\"]\n", "dropped", "dropped"},
        {"[host.\"https://a\"]\ncapabilities = [\"PULL\"]\n", "https://a/v2 " + hub,
         "https://a/v2 " + hub},
        {"[host.\"https://a\"]\nskip_verify = \"yes\"\n", "dropped", "dropped"},
        {"[host.\"https://a\"]\ndial_timeout = \"2\"\n", "https://a/v2 " + hub, "dropped"},
        {"[host.\"https://a\"]\ntypo = 1\n", "https://a/v2 " + hub, "https://a/v2 " + hub},
        {"[host.\"plain:5000\"]\n", "https://plain:5000/v2 " + hub, "https://plain:5000/v2 " + hub},
        {"[host.\"https://m/proj/\"]\n", "https://m/proj/v2 " + hub, "https://m/proj/v2 " + hub},
        {"[host.\"https://m/v2/x\"]\noverride_path = true\n", "https://m/v2/x " + hub,
         "https://m/v2/x " + hub},
        {"[host.\"https://m/\"]\n", "https://m//v2 " + hub, "https://m//v2 " + hub},
        {"SERVER = \"https://s\"\n[host]\n", "https://s/v2", "https://s/v2"},
        {"Server = \"https://s\"\n[host]\n", hub, "https://s/v2"},
        {"[host] x = 1\n[a] [b]\n", "dropped", "dropped"},
        {"[host.\"https://[::1]:5000\"]\n", "dropped", "https://[::1]:5000/v2 " + hub},
        {"[host.\"https://a\"]\ncapabilities = [\"referrers\"]\n", "dropped", "dropped"},
        {"at = 24:00:00\n[host.\"https://a\"]\n", "dropped", "dropped"},
        {"at = 23:59:59\n[host.\"https://a\"]\n", "https://a/v2 " + hub, "https://a/v2 " + hub},
        {"[host.\"https://a\"]\nat = 2023-02-29", "dropped", "dropped"},
        {"[host.\"https://a\"]\nat = 2024-02-29", "https://a/v2 " + hub, "https://a/v2 " + hub},
        {"", hub, hub},
    };
    for (const auto& each : cases) {
        CAPTURE(each.text);
        if (each.text.empty()) continue;  // an empty file never gets to the decoder
        CHECK(urls(each.text, k16) == each.v1);
        CHECK(urls(each.text, k17) == each.v1);
        CHECK(urls(each.text, k21) == each.v2);
    }
    CHECK(urls("[host.\"https://a\"]\ncapabilities = [\"referrers\"]\n", k22) ==
          "https://a/v2 " + hub);
}

TEST_CASE("files of which containerd itself dies") {
    CHECK(urls("ca = ,\"ca.crt\"\n[host]\n", k16) == "crash");
    CHECK(urls("ca = ,\"ca.crt\"\n[host]\n", k17) == "dropped");
    CHECK(urls("ca = ,\"ca.crt\"\n[host]\n", k21) == "dropped");
    // A sort that compares something that is no table.
    const std::string mistake = "[host]\nserver = \"x\"\n[host.\"https://a\"]\n";
    CHECK(urls(mistake, k16) == "crash");
    CHECK(urls(mistake, k17) == "crash");
    CHECK(urls(mistake, k21) == "dropped");
}

TEST_CASE("no file is nested or large enough to hurt its reader") {
    std::string key = "a";
    for (int i = 0; i < 25'000; ++i) key += ".a";
    std::string tables;
    for (int i = 0; i < 14'000; ++i) tables += "{a.b.c = ";
    for (const auto& version : {k16, k17, k21}) {
        CHECK(urls("[host]\n[" + key + "]\n", version) == "dropped");
        CHECK(urls("[host]\n" + key + " = 1\n", version) == "dropped");
        CHECK(urls("[host]\nx = {" + key + " = 1}\n", version) == "dropped");
        CHECK(urls("[host]\nx = " + tables + "1\n", version) == "dropped");
        // A name with dots is one part, and a number has few.
        CHECK(urls("server = \"https://" + key + "\"\nx = 1.5 # " + key + "\n[host]\n", version) !=
              "dropped");
    }
    REQUIRE(std::max(key.size(), tables.size()) < kLargestHostsToml - 1000);
    CHECK(decodeHostsToml("[host]\n#" + std::string(kLargestHostsToml, '#'), "/c", k21).tooMuch);
    // A host that is written again and again has all that it holds each time.
    std::string again = "[host.a]\nca = [";
    for (int i = 0; i < 15'000; ++i) again += "\"a\",";
    again += "]\n";
    for (int i = 0; i < 400; ++i)
        again += "[host.b." + std::to_string(i) + "]\n[host.a." + std::to_string(i) + "]\n";
    const TemporaryDirectory root;
    std::string unknown;
    for (int i = 0; i < 1000; ++i) unknown += "k" + std::to_string(i) + " = 1\n";
    root.write("certs.d/unknown.example/hosts.toml", unknown + "[host]\n");
    const auto many = readChain(root / "certs.d", "unknown.example", k21).warnings;
    REQUIRE(many.size() == 21);
    CHECK_THAT(many.back().text, Catch::Contains("more like these"));
    root.write("certs.d/again.example/hosts.toml", again);
    CHECK(readChain(root / "certs.d", "again.example", k21).unreadable);
    root.write("certs.d/large.example/hosts.toml", "[host]\n#" + std::string(200'000, '#') + "\n");
    const auto large = readChain(root / "certs.d", "large.example", k21);
    CHECK(large.unreadable);
    CHECK(large.hosts.empty());
}

TEST_CASE("a certificate that is named over and over is read once, and not without end") {
    const TemporaryDirectory root;
    const std::string large = root.write("large.pem", std::string(2 << 20, 'x'));
    const std::string junk = root.write("junk.pem", "junk");
    const auto errorWith = [&](const std::string& ca) {
        root.write("certs.d/a.example/hosts.toml",
                   "server = \"https://a.example\"\nca = [" + ca + "]\n[host]\n");
        return readChain(root / "certs.d", "a.example", k21).error;
    };
    CHECK_THAT(errorWith("\"" + junk + "\""), Catch::Contains("unable to load CA cert"));
    // Of what is not looked at nothing is said.
    CHECK(errorWith("\"" + large + "\"").empty());
    CHECK(errorWith("]\nclient = [[\"" + large + "\", \"" + junk + "\"]").empty());
    CHECK_THAT(errorWith("\"" + large + "\", \"" + junk + "\""), Catch::Contains("junk.pem"));
}

TEST_CASE("a directory of certificates has so many names and no more") {
    const TemporaryDirectory root;
    root.write("certs.d/a.example/ca.crt", "junk");
    CHECK_THAT(readChain(root / "certs.d", "a.example", k21).error,
               Catch::Contains("unable to load CA cert"));
    // Of more certificates than any chain needs nothing is said: to decode them takes its time.
    std::string blocks;
    for (int i = 0; i < 201; ++i) blocks += "-----BEGIN CERTIFICATE-----\n";
    root.write("certs.d/a.example/ca.crt", blocks);
    CHECK(readChain(root / "certs.d", "a.example", k21).error.empty());
    for (int i = 0; i < 4096; ++i) root.write("certs.d/a.example/" + std::to_string(i), "");
    const auto reading = readChain(root / "certs.d", "a.example", k21);
    CHECK(reading.unreadable);
    CHECK_THAT(reading.error, Catch::Contains("more than 4096 names"));
}

TEST_CASE("of a file that somebody's link leads to outside nothing is quoted") {
    const TemporaryDirectory root;
    const std::string secret = root.write("secret/token", "Bearer hunter2.hunter2");
    const std::string keys = root.write("secret/keys", "hunter2 = 1\n[host]\n");
    root.write("certs.d/a.example/..data/hosts.toml", "Bearer hunter2.hunter2");
    const std::string directory = root / "certs.d/a.example";
    for (const auto& version : {k17, k21}) {
        const auto readingOf = [&](const std::string& target) {
            std::filesystem::remove(directory + "/hosts.toml");
            std::filesystem::create_symlink(target, directory + "/hosts.toml");
            auto reading = readChain(root / "certs.d", "a.example", version);
            for (const auto& warning : reading.warnings) reading.ignored += warning.text;
            return reading.ignored + reading.error;
        };
        REQUIRE(::chown(directory.c_str(), 1234, 1234) == 0);
        CHECK_THAT(readingOf(secret), Catch::Contains("what the link leads to"));
        CHECK_THAT(readingOf(secret), !Catch::Contains("hunter2"));
        CHECK_THAT(readingOf(keys), !Catch::Contains("hunter2"));
        // Kubernetes' way of mounting a ConfigMap.
        CHECK_THAT(readingOf("..data/hosts.toml"), !Catch::Contains("what the link leads to"));
        // Root's own link is as good as a file.
        REQUIRE(::chown(directory.c_str(), 0, 0) == 0);
        CHECK_THAT(readingOf(secret), !Catch::Contains("what the link leads to"));
        CHECK_THAT(readingOf(keys), Catch::Contains("hunter2"));
    }
}

TEST_CASE("who else may write a registry's file is known") {
    const TemporaryDirectory root;
    const std::string hosts = root.write("certs.d/a.example/hosts.toml", "");
    const auto others = [&] { return readChain(root / "certs.d", "a.example", k21).others; };
    CHECK(others().empty());
    REQUIRE(::chmod(hosts.c_str(), 0664) == 0);
    CHECK(others().empty());  // of the group root
    REQUIRE(::chown(hosts.c_str(), 0, 1234) == 0);
    CHECK_THAT(others(), Catch::Contains("others may write"));
    REQUIRE(::chmod(hosts.c_str(), 0644) == 0);
    REQUIRE(::chown(hosts.c_str(), 1234, 1234) == 0);
    CHECK_THAT(others(), Catch::Contains("belongs to uid 1234"));
    REQUIRE(::chown(hosts.c_str(), 0, 0) == 0);
    REQUIRE(::chown((root / "certs.d/a.example").c_str(), 1234, 1234) == 0);
    CHECK_THAT(others(), Catch::Contains("belongs to uid 1234"));
}

TEST_CASE("of certificates that others name the daemon says nothing") {
    const TemporaryDirectory root;
    const std::string certs = root / "certs.d";
    root.write("certs.d/a.example/hosts.toml", "ca = \"/nowhere.pem\"\n");
    root.write("certs.d/b.example/ca.crt", "no certificate");
    const auto reading = [&](const std::string& registry, CertificateFiles files) {
        return readChain(certs, registry, k21, files).error;
    };
    for (const std::string registry : {"a.example", "b.example"}) {
        CAPTURE(registry);
        CHECK_FALSE(reading(registry, CertificateFiles::OfRoot).empty());
        REQUIRE(::chown((certs + "/" + registry).c_str(), 1234, 1234) == 0);
        CHECK(reading(registry, CertificateFiles::OfRoot).empty());
        CHECK_FALSE(reading(registry, CertificateFiles::All).empty());
    }
    // However many there are.
    std::string ca = "ca = [";
    for (int i = 0; i < 513; ++i) {
        const std::string name = "x" + std::to_string(i);
        ca += "\"" + root.write(name, samples::kCertificate) + "\",";
    }
    root.write("certs.d/c.example/hosts.toml", ca + "\"/nowhere.pem\"]\n");
    CHECK(reading("c.example", CertificateFiles::All).empty());
}

TEST_CASE("what is too large to be told is not shown") {
    CHECK(redactHostsToml("x = [" + std::string(128 << 10, ' ') + "]\n") ==
          "# <not shown: it is larger than 128 KiB>\n");
}

TEST_CASE("names that something of a user's is kept under") {
    for (const char* name : {"docker.io.aside-1", "hosts.toml.aside-12", "a.aside-1.aside-2"})
        CHECK(isAside(name));
    for (const char* name : {"docker.io", "docker.io.aside-", "a.aside-x", ".aside-1", "aside-1"})
        CHECK_FALSE(isAside(name));
}

TEST_CASE("the upstream that a registry has by default") {
    CHECK(urls("[host]\n", k16, "quay.io") == "https://quay.io/v2");
    CHECK(urls("[host]\n", k16, "localhost") == "http://localhost/v2");
    CHECK(urls("[host]\n", k17, "localhost") == "https://localhost/v2");
    CHECK(urls("[host]\n", k17, "127.0.0.1:5000") == "http://127.0.0.1:5000/v2");
    CHECK(urls("[host]\n", k17, "127.0.0.1:443") == "https://127.0.0.1:443/v2");
}

TEST_CASE("a chain leads upstream however the registry is written in it") {
    ChainHost host;
    host.scheme = "https";
    for (const char* name : {"registry-1.docker.io", "registry-1.docker.io:443",
                             "Registry-1.Docker.IO", "docker.io"}) {
        host.host = name;
        CHECK(leadsUpstream(host, "docker.io"));
    }
    for (const char* name : {"registry-1.docker.io:80", "mirror.example", "docker.io.example"}) {
        host.host = name;
        CHECK_FALSE(leadsUpstream(host, "docker.io"));
    }
    host.scheme = "http";
    host.host = "a.example:5000";
    CHECK(leadsUpstream(host, "a.example:5000"));
    host.host = "a.example:80";
    CHECK(leadsUpstream(host, "a.example"));
}

TEST_CASE("a small file that stands for a huge chain is not read") {
    std::string header = "header = {";
    for (int i = 0; i < 14'000; ++i) header += (i > 0 ? "," : "") + std::to_string(i) + "=[]";
    std::string text = "[host.a]\n" + header + "}\n[host.b]\n";
    for (int i = 0; i < 400; ++i) {
        const std::string name = std::to_string(i);
        text += "[host.b.Y" + name + "]\n[host.a.Y" + name + "]\n";
    }
    REQUIRE(text.size() < kLargestHostsToml);
    CHECK(decodeHostsToml(text, "/c", k21).tooMuch);
    CHECK(decodeHostsToml("[host.a]\n" + header + "}\n", "/c", k21).valid);
}

TEST_CASE("warnings are as many as can be read, and short") {
    std::string text = "[host.'https://a.b/" + std::string(30'000, '"') + "']\n";
    for (int i = 0; i < 9'000; ++i) text += "K" + std::to_string(i) + " = 1\n";
    REQUIRE(text.size() < kLargestHostsToml);
    for (const auto& version : {k17, k21}) {
        std::vector<Warning> made;
        lintHostsToml(text, {}, "a.b", version, made);
        CHECK(made.size() <= 2000);
        for (const auto& warning : made) REQUIRE(warning.text.size() < 1000);
    }
}

TEST_CASE("an empty list of ca is an option of TLS") {
    const auto decoded =
        decodeHostsToml("[host.\"http://a:5000\"]\nca = []\n[host.\"http://b:5000\"]\n", "/c", k17);
    REQUIRE(decoded.valid);
    CHECK(isTriedInHttpsFirst(decoded.hosts[0], k17));
    CHECK_FALSE(isTriedInHttpsFirst(decoded.hosts[1], k17));
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

TEST_CASE("relative paths and every form of ca and client") {
    const auto decoded = decodeHostsToml(
        "[host.\"https://a\"]\nca = \"../ca.crt\"\nclient = [\"one.pem\", [\"/c\", \"k\"]]\n",
        "/d/x", k21);
    REQUIRE(decoded.valid);
    CHECK(decoded.hosts[0].ca == std::vector<std::string>{"/d/ca.crt"});
    CHECK(decoded.hosts[0].client ==
          std::vector<std::vector<std::string>>{{"/d/x/one.pem"}, {"/c", "/d/x/k"}});
}

TEST_CASE("Go's url.Parse") {
    struct Case {
        std::string text, scheme, host, path;
    };
    for (const Case& each :
         std::vector<Case>{{"https://h:5000/a%2fb", "https", "h:5000", "/a/b"},
                           {"httpmirror.example", "", "", "httpmirror.example"},
                           {"httpmirror.example:5000", "httpmirror.example", "", ""},
                           {"https://u:p@h/", "https", "h", "/"},
                           {"HTTPS://h", "https", "h", ""},
                           {"https://h?q=%zz#f", "https", "h", ""},
                           {"https:reg", "https", "", ""}}) {
        CAPTURE(each.text);
        const auto url = parseGoUrl(each.text, false);
        REQUIRE(url);
        CHECK(url->scheme == each.scheme);
        CHECK(url->host == each.host);
        CHECK(url->path == each.path);
    }
    for (const std::string bad : {"https://h:x", "https://[::1", "https://h/%zz", "https://a b",
                                  ":x", "http_x://y", "https://h#%zz", "https://h\x01"})
        CHECK_FALSE(parseGoUrl(bad, false));
    CHECK(parseGoUrl("https://[1.2.3.4]", false));
    CHECK_FALSE(parseGoUrl("https://[1.2.3.4]", true));
    CHECK(cleanPath("/a/../../b//c/.") == "/b/c");
    CHECK(cleanPath("../a/..") == "..");
}

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

TEST_CASE("expressions of a document with their bytes") {
    const std::string text =
        "a = 1 # one\n[t . \"x.y\"]\nb = \"\"\"\n[no]\n\"\"\"\nc.d = [ # [no]\n  1,\n]\n[[arr]]\n";
    const auto found = toml_text::scanExpressions(text);
    REQUIRE(found.size() == 5);
    CHECK(text.substr(found[0].begin, found[0].end - found[0].begin) == "a = 1");
    CHECK(found[1].key == std::vector<std::string>{"t", "x.y"});
    CHECK(text.substr(found[2].valueBegin, found[2].end - found[2].valueBegin) ==
          "\"\"\"\n[no]\n\"\"\"");
    CHECK(found[3].key == std::vector<std::string>{"c", "d"});
    CHECK(found[4].kind == toml_text::Expression::Kind::ArrayTable);
}

TEST_CASE("what only TOML 1.1 has is told, for not every containerd 2.x takes it") {
    struct Case {
        std::string text, told;
    };
    const std::string host = "[host.\"https://a\"]\n";
    const std::vector<Case> cases{
        {host + "header = {\n X = \"y\" }\n", "a line end in an inline table (line 2)"},
        {host + "header = { X = \"y\", }\n", "a comma at the end of an inline table (line 2)"},
        {host + "ca = \"/a\\x41\"\n", "the escape \\x (line 2)"},
        {host + "ca = \"\"\"\n\n\\e\"\"\"\n", "the escape \\e (line 4)"},
        {host + "at = 2024-01-01 07:32\n", "a time without seconds (line 2)"},
        {host + "header = { X = [\n\"y\",\n], Z = '\\x' }\n", ""},
        {host + "at = 2024-01-01T07:32:00+07:00 # { , }\n", ""},
        {host + "ca = ['a,', \"}\"] # \\e\n", ""},
        {host + "x = '''\n\\x 07:32'''\n", ""},
    };
    for (const auto& each : cases) {
        CAPTURE(each.text);
        const Decoded decoded = decodeHostsToml(each.text, "/c", k21);
        REQUIRE(decoded.valid);
        std::vector<Warning> warnings;
        lintHostsToml(each.text, decoded.hosts, "docker.io", k21, warnings);
        std::string told;
        for (const auto& warning : warnings)
            if (warning.code == "toml-1.1") told = warning.text;
        CHECK(told.empty() == each.told.empty());
        CHECK_THAT(told, Catch::Contains(each.told));
    }
}

TEST_CASE("a key is found however many there are") {
    std::string text;
    for (int i = 0; i < 4000; ++i) text += "[k" + std::to_string(i) + "]\n";
    const std::string host = "[host.\"https://a\"]\n";
    const std::string good = "https://a/v2 https://x.example/v2";
    CHECK(urls(text + host, k17, "x.example") == good);
    CHECK(urls(text + "[k7]\n" + host, k17, "x.example") == "dropped");
    CHECK(urls(text + host + "[k3999.sub]\n[k3999.sub]\n", k17, "x.example") == "dropped");
    // A new element of a table array makes the headers below its name free again.
    CHECK(urls("[[t]]\n[t.a]\n[t.a-b]\n[[t]]\n[t.a]\n" + host, k17, "x.example") == good);
}
