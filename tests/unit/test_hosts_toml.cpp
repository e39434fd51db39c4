#include "hosts_toml/decode.hpp"
#include "hosts_toml/go_url.hpp"
#include "hosts_toml/lint.hpp"
#include "hosts_toml/reader.hpp"
#include "hosts_toml/upstream.hpp"
#include "support/temporary_directory.hpp"
#include "toml/expressions.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

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
