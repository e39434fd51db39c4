#include "desired/parse.hpp"
#include "hosts_toml/render.hpp"
#include "hosts_toml/upstream.hpp"
#include "import/imported.hpp"
#include "pem_samples.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

const ContainerdVersion kVersion{2, 1, 9};

Result<std::string> noFiles(const std::string& path) {
    // The import names the file of a secret; here it has been written.
    if (path.rfind("/etc/nodemirrord/secret/", 0) == 0) return std::string("secret-value");
    return Error("read", path, "no such file");
}

/// What the desired state that was printed makes of a registry, in containerd's terms.
Chain chainOf(const std::string& yaml, const std::string& registry) {
    const auto parsed = parseDesired(yaml, noFiles, Certificates::Trust);
    for (const auto& problem : parsed.problems)
        UNSCOPED_INFO(problem.line << ": " << problem.key << " " << problem.message << "\n"
                                   << yaml);
    REQUIRE(parsed.problems.empty());
    const Registry* found = parsed.desired->find(registry);
    if (found == nullptr) return {};
    Chain chain = intendedChain(*found);
    fillDefaultHost(chain, registry == "_default" ? "any.example" : registry, kVersion);
    return chain;
}

struct Tree {
    TemporaryDirectory files;

    std::string root() const { return files / "certs.d"; }
    void put(const std::string& registry, const std::string& text) const {
        files.write("certs.d/" + registry + "/hosts.toml", text);
    }
    ChainReading read(const std::string& registry) const {
        return readChain(root(), registry, kVersion);
    }
    ImportedRegistry import(const std::string& registry) const {
        return importReading(read(registry), root(), kVersion);
    }
};

}  // namespace

TEST_CASE("an imported hosts.toml gives the chain that was there") {
    const std::string text = GENERATE(
        as<std::string>{}, "[host.\"https://m.example\"]\n",
        "[host.\"https://m.example\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        "[host.\"http://n.example:5000\"]\ncapabilities = [\"pull\"]\n",
        "server = \"https://registry-1.docker.io\"\n[host.\"https://m.example/proj\"]\n",
        "server = \"https://other.example\"\n[host.\"https://m.example\"]\n",
        "server = \"https://m.example/v2/dockerhub\"\noverride_path = true\n[host]\n",
        "[host.\"https://m.example/api/odd\"]\noverride_path = true\n",
        "[host.\"https://m.example\"]\nskip_verify = true\ndial_timeout = \"2s\"\n"
        "[host.\"https://m.example\".header]\nX-Tenant = [\"blue\", \"green\"]\n",
        "server = \"http://m.example:5000\"\n[host]\n",
        "server = \"https://m.example\"\ncapabilities = [\"pull\"]\n[host.\"https://n.example\"]\n",
        "[host.\"https://[::1]:5000\"]\n");
    const std::string registry = GENERATE(as<std::string>{}, "docker.io", "quay.io", "_default");
    Tree tree;
    tree.put(registry, text);
    const std::string asked = registry == "_default" ? "any.example" : registry;
    const Chain before = tree.read(asked).hosts;
    const std::string yaml = writeDesired({tree.import(registry)}, {});
    INFO(text << "\n" << yaml);
    CHECK(chainOf(yaml, registry) == before);
}

TEST_CASE("a directory with certificates alone becomes the upstream with them") {
    Tree tree;
    tree.files.write("certs.d/quay.io/ca.crt", samples::kCertificate);
    const Chain before = tree.read("quay.io").hosts;
    REQUIRE(before.size() == 1);
    CHECK(before.front().ca == std::vector<std::string>{tree.root() + "/quay.io/ca.crt"});
    const std::string yaml = writeDesired({tree.import("quay.io")}, {});
    INFO(yaml);
    CHECK(chainOf(yaml, "quay.io") == before);
}

TEST_CASE("secret headers are named and their values are not printed") {
    Tree tree;
    tree.put("docker.io",
             "[host.\"https://m.example\"]\n[host.\"https://m.example\".header]\n"
             "Authorization = \"Basic aHVudGVyMg==\"\nX-Tenant = \"shown\"\nX-JFrog-Art-Api = "
             "\"AKCp\"\n");
    const std::string yaml = writeDesired({tree.import("docker.io")}, {});
    CHECK(yaml.find("aHVudGVyMg") == std::string::npos);
    CHECK(yaml.find("AKCp") == std::string::npos);
    CHECK(yaml.find("shown") != std::string::npos);
    CHECK(yaml.find("Authorization: /etc/nodemirrord/secret/m.example-authorization") !=
          std::string::npos);
    CHECK(chainOf(yaml, "docker.io").front().header.count("Authorization") == 1);
}

TEST_CASE("what cannot be carried over is a comment that says why") {
    Tree tree;
    tree.put("a.example", "[host.\"https://m\"]\ncapabilities = [\"resolv\"]\n");
    tree.put("b.example", "[host.\"http://m.example\"]\nskip_verify = true\n");
    tree.put("c.example", "[host.\"httpmirror.example\"]\n[host.\"https://m.example\"]\n");
    std::vector<ImportedRegistry> all;
    for (const char* name : {"a.example", "b.example", "c.example"})
        all.push_back(tree.import(name));
    const std::string yaml = writeDesired(all, {"a note"});
    CHECK(yaml.find("# a note") != std::string::npos);
    CHECK(yaml.find("# a.example: containerd drops its hosts.toml") != std::string::npos);
    CHECK(yaml.find("do not go with an http:// URL") != std::string::npos);
    CHECK(yaml.find("is left out") != std::string::npos);
    CHECK(chainOf(yaml, "c.example").size() == 2);
    CHECK(chainOf(yaml, "a.example").empty());
}

TEST_CASE("legacy mirrors and k3s' registries.yaml") {
    ContainerdConfig config;
    LegacyMirror mirror;
    mirror.registry = "docker.io";
    mirror.endpoints = {"https://m.example", "http://n.example:5000/v2/cache", "x y"};
    mirror.file = "/etc/containerd/config.toml";
    config.mirrors.push_back(mirror);
    mirror.registry = "*";
    mirror.endpoints = {"https://all.example"};
    config.mirrors.push_back(mirror);
    LegacyHost host;
    host.host = "m.example";
    host.skipVerify = true;
    host.hasAuth = true;
    config.hosts.push_back(host);
    const std::string yaml = writeDesired(importConfig(config), {});
    const Chain chain = chainOf(yaml, "docker.io");
    REQUIRE(chain.size() == 3);
    CHECK(chain[0].url() == "https://m.example/v2");
    CHECK(chain[0].skipVerify == true);
    CHECK(chain[1].url() == "http://n.example:5000/v2/cache");
    CHECK(chain[2].url() == "https://registry-1.docker.io/v2");
    CHECK(chainOf(yaml, "_default").front().url() == "https://all.example/v2");
    CHECK(yaml.find("configs.m.example.auth") != std::string::npos);

    const auto k3s = importK3s(
        "mirrors:\n  docker.io:\n    endpoint: [\"https://m.example:5000\"]\n"
        "    rewrite: {\"^(.*)$\": \"hub/$1\"}\n  \"*\":\n    endpoint: [https://all.example]\n"
        "    rewrite: {\"^rancher/(.*)\": \"x/$1\"}\n"
        "configs:\n  m.example:5000: {tls: {ca_file: /etc/ca.pem}, auth: {password: hunter2}}\n",
        "registries.yaml");
    REQUIRE(k3s);
    const std::string fromK3s = writeDesired(*k3s, {});
    CHECK(fromK3s.find("hunter2") == std::string::npos);
    const Chain first = chainOf(fromK3s, "docker.io");
    CHECK(first.front().url() == "https://m.example:5000/v2/hub");
    CHECK(first.front().ca == std::vector<std::string>{"/etc/ca.pem"});
    CHECK(fromK3s.find("only a prefix can be had") != std::string::npos);
    const auto alone = importK3s(
        "configs:\n  private.example:5000: {tls: {ca_file: /etc/ca.pem}, auth: {password: "
        "hunter2}}\n"
        "  other.example: {auth: {password: hunter2}}\n  empty.example: {}\n",
        "registries.yaml");
    REQUIRE(alone);
    const std::string fromAlone = writeDesired(*alone, {});
    CHECK(fromAlone.find("hunter2") == std::string::npos);
    const Chain own = chainOf(fromAlone, "private.example:5000");
    REQUIRE(own.size() == 1);
    CHECK(own.front().ca == std::vector<std::string>{"/etc/ca.pem"});
    CHECK(fromAlone.find("other.example: its credentials") != std::string::npos);
    CHECK(fromAlone.find("empty.example") == std::string::npos);
    CHECK_FALSE(importK3s("a: [", "registries.yaml"));
    CHECK(importK3s("", "registries.yaml")->empty());
}

TEST_CASE("an endpoint without a scheme gets the one that its reader gives it") {
    ContainerdConfig config;
    LegacyMirror mirror;
    mirror.registry = "docker.io";
    mirror.endpoints = {"localhost:5000", "127.0.0.1", "m.example:5000"};
    config.mirrors.push_back(mirror);
    const Chain cri = chainOf(writeDesired(importConfig(config), {}), "docker.io");
    REQUIRE(cri.size() >= 3);
    CHECK(cri[0].url() == "http://localhost:5000/v2");
    CHECK(cri[1].url() == "http://127.0.0.1/v2");
    CHECK(cri[2].url() == "https://m.example:5000/v2");
    const auto k3s = importK3s(
        "mirrors:\n  docker.io:\n    endpoint: [\"localhost:5000\", localhost, m.example]\n",
        "registries.yaml");
    REQUIRE(k3s);
    const Chain chain = chainOf(writeDesired(*k3s, {}), "docker.io");
    REQUIRE(chain.size() >= 3);
    CHECK(chain[0].url() == "http://localhost:5000/v2");
    CHECK(chain[1].url() == "https://localhost/v2");
    CHECK(chain[2].url() == "https://m.example/v2");
}

TEST_CASE("whether what stands in certs.d says anything") {
    const Tree tree;
    for (const char* nothing :
         {"", "server = \"https://quay.io\"\n", "[host.\"https://quay.io\"]\n"}) {
        tree.put("quay.io", nothing);
        CHECK_FALSE(isOwn(tree.read("quay.io")));
    }
    for (const char* own :
         {"[host.\"https://m.example\"]\n", "server = \"http://quay.io\"\n", "skip_verify = true\n",
          "[host.\"https://quay.io/v2/proxy\"]\noverride_path = true\n",
          "[host.\"https://quay.io\"]\ncapabilities = [\"pull\"]\n",
          "[host.\"https://quay.io\".header]\nX = \"y\"\n"}) {
        CAPTURE(own);
        tree.put("quay.io", own);
        CHECK(isOwn(tree.read("quay.io")));
    }
}
