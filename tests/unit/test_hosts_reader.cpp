#include "hosts_toml/directories.hpp"
#include "hosts_toml/reader.hpp"
#include "support/temporary_directory.hpp"
#include "unit/pem_samples.hpp"
#include "versions.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace nodemirror;

namespace {}  // namespace

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
        CHECK_THAT(readingOf(secret), Catch::Contains("what is there is no TOML"));
        CHECK_THAT(readingOf(secret), !Catch::Contains("hunter2"));
        CHECK_THAT(readingOf(keys), !Catch::Contains("hunter2"));
        // Kubernetes' way of mounting a ConfigMap.
        CHECK_THAT(readingOf("..data/hosts.toml"), !Catch::Contains("what is there is no TOML"));
        // Root's own link is as good as a file.
        REQUIRE(::chown(directory.c_str(), 0, 0) == 0);
        CHECK_THAT(readingOf(secret), !Catch::Contains("what is there is no TOML"));
        CHECK_THAT(readingOf(keys), Catch::Contains("hunter2"));
    }
}

TEST_CASE("nothing is quoted that others may have put there and cannot read") {
    const TemporaryDirectory root;
    REQUIRE(::chmod((root / "").c_str(), 0755) == 0);
    const std::string hosts = root / "certs.d/a.example/hosts.toml";
    const auto reading = [&] { return readChain(root / "certs.d", "a.example", k17); };
    SECTION("through a directory of theirs that root's own link leads to") {
        root.write("secret", "Bearer hunter2");
        root.write("team/hosts.toml", "");
        root.write("certs.d/a.example/x", "");
        std::filesystem::create_symlink(root / "team/hosts.toml", hosts);
        CHECK(reading().others.empty());
        REQUIRE(::chown((root / "team").c_str(), 1234, 1234) == 0);
        std::filesystem::remove(root / "team/hosts.toml");
        std::filesystem::create_symlink("../secret", root / "team/hosts.toml");
        CHECK_THAT(reading().others, Catch::Contains(root / "team, on the way to it"));
        CHECK(reading().othersOnTheWay);
    }
    SECTION("a file of root's that lay in a directory of theirs") {
        root.write("certs.d/a.example/hosts.toml", "Bearer hunter2");
        REQUIRE(::chown((root / "certs.d/a.example").c_str(), 1234, 1234) == 0);
        CHECK_FALSE(reading().hidden);
        REQUIRE(::chmod(hosts.c_str(), 0640) == 0);
    }
    CHECK(reading().hidden);
    CHECK_FALSE(reading().ignored.empty());
    CHECK_THAT(reading().ignored + reading().error, !Catch::Contains("hunter2"));
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

TEST_CASE("names that something of a user's is kept under") {
    for (const char* name : {"docker.io.aside-1", "hosts.toml.aside-12", "a.aside-1.aside-2"})
        CHECK(isAside(name));
    for (const char* name : {"docker.io", "docker.io.aside-", "a.aside-x", ".aside-1", "aside-1"})
        CHECK_FALSE(isAside(name));
}
