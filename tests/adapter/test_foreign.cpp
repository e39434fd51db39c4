/// Files and directories of other users, as root without any capability.
#include "support/keeper_world.hpp"
#include "support/other_user.hpp"
#include "support/without_capabilities.hpp"

#include <catch2/catch.hpp>

#include <optional>

using namespace nodemirror;
namespace fs = std::filesystem;

namespace {

constexpr char kHosts[] = "certs.d/docker.io/hosts.toml";

}  // namespace

TEST_CASE("another user's hosts.toml comes back as theirs, even one that nobody may read") {
    for (const mode_t mode : {0644, 0600}) {
        World world;
        world.root.write(kHosts, "# theirs\n");
        give(world.root / kHosts, mode);
        {
            const WithoutCapabilities as;
            CHECK(world.want(desire({"docker.io"})) == 1);
            CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
            CHECK(ownerOf(world.root / kHosts) == ::geteuid());
            CHECK(world.root.exists("certs.d/docker.io/hosts.toml.aside-1"));
            CHECK(world.keeper->earlierText("docker.io").empty());  // theirs to change
            world.restart();
            CHECK(world.want(desire({"docker.io"})) == 0);
            world.want(desire({"docker.io"}, "second.example"));
            world.want(desire({}));
        }
        CHECK(world.hosts("docker.io") == "# theirs\n");
        CHECK(ownerOf(world.root / kHosts) == kSomebody);
        CHECK_FALSE(world.root.exists("certs.d/docker.io/hosts.toml.aside-1"));
    }
}

TEST_CASE("a crash before another user's hosts.toml was moved does not lose it") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    give(world.root / kHosts, 0644);
    const WithoutCapabilities as;
    // As after a crash between the claim and the exchange.
    world.want(desire({"docker.io"}));
    const std::string ours = world.hosts("docker.io");
    fs::rename(world.root / "certs.d/docker.io/hosts.toml.aside-1", world.root / kHosts);
    world.root.write("certs.d/docker.io/hosts.toml.aside-1", ours);
    world.restart();
    CHECK(world.want(desire({"docker.io"})) == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK(ownerOf(world.root / kHosts) == kSomebody);
}

TEST_CASE("a file of ours that was given away is taken back") {
    for (const mode_t mode : {0644, 0600, 0}) {
        World world;
        world.want(desire({"docker.io"}));
        const std::string wanted = world.hosts("docker.io");
        give(world.root / kHosts, mode);
        const WithoutCapabilities as;
        CHECK(world.keeper->reconcileAll(world.now) == 1);
        CHECK(world.hosts("docker.io") == wanted);
        CHECK(ownerOf(world.root / kHosts) == ::geteuid());
        CHECK_THAT(world.view("docker.io").healCause, Catch::Contains("uid 1234"));
        world.want(desire({}));
        CHECK_FALSE(world.root.exists("certs.d/docker.io"));
    }
}

TEST_CASE("a directory that was given away is replaced, with what else is in it") {
    World world;
    world.want(desire({"docker.io"}));
    const std::string wanted = world.hosts("docker.io");
    world.root.write("certs.d/docker.io/ca.crt", "certificate");
    world.root.write("certs.d/docker.io/theirs.crt", "theirs");
    give(world.root / "certs.d/docker.io/theirs.crt", 0644);
    for (int round = 1; round <= 3; ++round) {
        give(world.root / "certs.d/docker.io", 0755);
        const WithoutCapabilities as;
        CHECK(world.keeper->reconcileAll(world.now) == 1);
        CHECK(world.hosts("docker.io") == wanted);
        CHECK(ownerOf(world.root / "certs.d/docker.io") == ::geteuid());
        CHECK(world.root.read("certs.d/docker.io/ca.crt") == "certificate");
        CHECK(world.root.read("certs.d/docker.io/theirs.crt") == "theirs");
        CHECK(world.root.exists("certs.d/docker.io.aside-" + std::to_string(round)));
    }
    // What is set aside does not pile up without end.
    give(world.root / "certs.d/docker.io", 0755);
    world.root.write(kHosts, "# drift");
    const WithoutCapabilities as;
    world.now.steady += std::chrono::hours(1);
    world.keeper->reconcileAll(world.now);
    CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-4"));
    CHECK_THAT(world.view("docker.io").remedy, Catch::Contains("chown root:root"));
}

TEST_CASE("another user's directory is taken over whole and given back whole") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    world.root.write("certs.d/docker.io/ca.crt", "certificate");
    give(world.root / kHosts, 0644);
    give(world.root / "certs.d/docker.io", 0755);
    const WithoutCapabilities as;
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK(world.root.read("certs.d/docker.io/ca.crt") == "certificate");
    world.restart();
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK(ownerOf(world.root / "certs.d/docker.io") == kSomebody);
}

TEST_CASE("what fails is tried again at once, but not as often as others like") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    const std::string theirs = world.root.write("certs.d/docker.io/zzz.crt", "x");
    give(theirs, 0600);
    give(world.root / "certs.d/docker.io", 0755);
    std::optional<WithoutCapabilities> as(std::in_place);
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("zzz.crt"));
    const int events = GENERATE(1, 5, 100);
    for (int i = 1; i < events; ++i) CHECK(world.keeper->reconcile({"docker.io"}, world.now) == 0);
    as.reset();
    give(theirs, 0644);
    as.emplace();
    CHECK(world.keeper->reconcile({"docker.io"}, world.now) == (events == 1 ? 1 : 0));
    if (events == 1) return;
    CHECK(world.keeper->due() > world.now.steady);
    CHECK(world.keeper->due() <= world.now.steady + std::chrono::seconds(10));
    world.now.steady = world.keeper->due();
    CHECK(world.keeper->reconcileDue(world.now) == 1);
    CHECK(world.keeper->due() == SteadyTime());
}

TEST_CASE("what is copied of another user's directory is no set-user-ID file of root's") {
    World world;
    const std::string tool = world.root.write("certs.d/docker.io/tool", "#!/bin/sh\n");
    give(tool, 04755);
    give(world.root / "certs.d/docker.io", 0755);
    const WithoutCapabilities as;  // which may not make hard links to such a file
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    struct stat status {};
    REQUIRE(::stat(tool.c_str(), &status) == 0);
    CHECK(status.st_uid == ::geteuid());
    CHECK((status.st_mode & 07777) == 0755);
}

TEST_CASE("of another user's directory no more is copied than a registry's may hold") {
    World world;
    const bool deep = GENERATE(false, true);
    for (int i = 0; i < (deep ? 2 : 65); ++i)
        give(world.root.write("certs.d/docker.io/" + std::to_string(i) + ".crt", "x"), 0644);
    if (deep) world.root.write("certs.d/docker.io/zzz/file", "x");
    give(world.root / "certs.d/docker.io", 0755);
    const WithoutCapabilities as;
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.view("docker.io").problem,
               Catch::Contains(deep ? "neither a file nor a link" : "64 files"));
    CHECK(ownerOf(world.root / "certs.d/docker.io") == kSomebody);
    for (const auto& entry : fs::directory_iterator(world.root / "certs.d"))
        CHECK(entry.path().filename() == "docker.io");
}

TEST_CASE("a crash before another user's directory was exchanged loses nothing") {
    const bool made = GENERATE(false, true);  // the new one, under the name to keep theirs under
    const bool declared = GENERATE(false, true);
    CAPTURE(made, declared);
    World world;
    world.root.write(kHosts, "# theirs\n");
    world.root.write("certs.d/docker.io/ca.crt", "certificate");
    give(world.root / kHosts, 0644);
    give(world.root / "certs.d/docker.io", 0755);
    const std::string place = world.root / "certs.d/docker.io";
    const std::string kept = world.root / "certs.d/docker.io.aside-1";
    const WithoutCapabilities as;
    world.want(desire({"docker.io"}));
    REQUIRE(fs::exists(kept));
    fs::rename(place, world.root / "ours");
    fs::rename(kept, place);
    if (made) fs::rename(world.root / "ours", kept);
    world.restart();
    if (declared) {
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
        CHECK(ownerOf(kept) == kSomebody);
        CHECK(world.root.read("certs.d/docker.io.aside-1/hosts.toml") == "# theirs\n");
        CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-2"));
    }
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK(world.root.read("certs.d/docker.io/ca.crt") == "certificate");
    CHECK(ownerOf(place) == kSomebody);
    CHECK_FALSE(fs::exists(kept));
}

TEST_CASE("what could not be taken over and was then given to root is kept like any other") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    give(world.root / "certs.d/docker.io", 0755);
    fs::create_directories(world.root / "certs.d/docker.io/nested");
    const auto reconcile = [&] {
        const WithoutCapabilities as;
        world.now.steady += std::chrono::hours(1);
        world.keeper->reconcileAll(world.now);
    };
    world.keeper->intents().setDesired(desire({"docker.io"}));
    reconcile();
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK_THAT(world.view("docker.io").remedy, Catch::Contains("chown root:root"));
    give(world.root / "certs.d/docker.io", 0755, ::geteuid());
    reconcile();
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK(world.root.exists("certs.d/docker.io/nested"));
}

TEST_CASE(
    "what is kept aside is never pruned, and what says the same as ours is never taken for it") {
    World world;
    const auto names = desire({"docker.io"}, "mirror.example", UnmanagedPolicy::Prune);
    world.want(desire({"docker.io"}));
    const std::string ours = world.hosts("docker.io");
    world.want(desire({}));
    world.root.write(kHosts, ours);
    give(world.root / kHosts, 0644);
    give(world.root / "certs.d/docker.io", 0755);
    const std::string place = world.root / "certs.d/docker.io";
    const std::string kept = world.root / "certs.d/docker.io.aside-1";
    const WithoutCapabilities as;
    world.want(names);
    CHECK(world.keeper->reconcileAll(world.now) == 0);
    CHECK(world.keeper->reconcile({"docker.io", "docker.io.aside-1"}, world.now) == 0);
    CHECK(world.root.read("certs.d/docker.io.aside-1/hosts.toml") == ours);
    CHECK(world.view("docker.io.aside-1").name.empty());
    SECTION("given back") {}
    SECTION("not taken over when it ended") {
        fs::rename(place, world.root / "gone");
        fs::rename(kept, place);
        world.restart();
    }
    SECTION("given back when it ended, and ours not yet gone") {
        fs::rename(place, world.root / "between");
        fs::rename(kept, place);
        fs::rename(world.root / "between", kept);
        world.restart();
    }
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == ours);
    CHECK(ownerOf(place) == kSomebody);
    CHECK_FALSE(fs::exists(kept));
}

TEST_CASE("a claim to give something back outlives a pass whose state cannot be saved") {
    World world;
    world.root.write(kHosts, "# earlier\n");
    world.want(desire({"docker.io"}));
    {
        const WithoutCapabilities as;
        REQUIRE(::chmod((world.root / "state").c_str(), 0500) == 0);
        world.want(desire({"quay.io"}));
        CHECK_THAT(world.view("quay.io").problem, Catch::Contains("Permission denied"));
        REQUIRE(::chmod((world.root / "state").c_str(), 0700) == 0);
    }
    world.now.steady += std::chrono::hours(1);
    world.keeper->reconcileAll(world.now);
    CHECK(world.hosts("docker.io") == "# earlier\n");
    CHECK_THAT(world.hosts("quay.io"), Catch::Contains("mirror.example"));
}

TEST_CASE("nothing of another user's directory is left beside it once it is given back") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    world.root.write("certs.d/docker.io/ca.crt", "certificate");
    world.root.write("certs.d/docker.io/theirs.crt", "theirs");
    fs::create_symlink("ca.crt", world.root / "certs.d/docker.io/link");
    give(world.root / "certs.d/docker.io/theirs.crt", 0644);
    give(world.root / "certs.d/docker.io", 0755);
    const auto want = [&](const std::vector<std::string>& names) {
        const WithoutCapabilities as;
        world.want(desire(names));
    };
    want({"docker.io"});
    SECTION("as it was") {
        want({});
        CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-1"));
        CHECK(ownerOf(world.root / "certs.d/docker.io") == kSomebody);
        CHECK(world.root.read("certs.d/docker.io/theirs.crt") == "theirs");
    }
    SECTION("but for what somebody put into ours meanwhile") {
        world.root.write("certs.d/docker.io/new.crt", "new");
        want({});
        CHECK(world.root.read("certs.d/docker.io.aside-1/new.crt") == "new");
        CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-1/ca.crt"));
        CHECK(ownerOf(world.root / "certs.d/docker.io") == kSomebody);
    }
    SECTION("when it is gone, ours goes all the same") {
        fs::remove_all(world.root / "certs.d/docker.io.aside-1");
        want({});
        CHECK_FALSE(world.root.exists(kHosts));
    }
}

TEST_CASE("a directory in the place of hosts.toml comes back, whenever the crash is") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml/precious", "precious");
    const std::string kept = world.root / "certs.d/docker.io/hosts.toml.aside-1";
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    SECTION("no crash") {}
    SECTION("before the exchange") {
        fs::rename(world.root / kHosts, world.root / "ours");
        fs::rename(kept, world.root / kHosts);
        fs::rename(world.root / "ours", kept);
        world.restart();
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    }
    SECTION("and another one came meanwhile") {
        fs::remove(world.root / kHosts);
        world.root.write("certs.d/docker.io/hosts.toml/other", "other");
        CHECK(world.keeper->reconcileAll(world.now) == 1);
        CHECK(world.root.read("certs.d/docker.io/hosts.toml.aside-2/other") == "other");
    }
    SECTION("and another one came meanwhile, and a crash before its exchange") {
        fs::rename(world.root / kHosts, world.root / "certs.d/docker.io/hosts.toml.aside-2");
        world.root.write("certs.d/docker.io/hosts.toml/other", "other");
        world.restart();
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK(world.root.read("certs.d/docker.io/hosts.toml.aside-2/other") == "other");
        CHECK_FALSE(world.root.exists("certs.d/docker.io/hosts.toml.aside-3"));
    }
    world.want(desire({}));
    CHECK(world.root.read("certs.d/docker.io/hosts.toml/precious") == "precious");
    CHECK_FALSE(fs::exists(kept));
}

TEST_CASE("an empty directory in the place of hosts.toml comes back too") {
    World world;
    fs::create_directories(world.root / kHosts);
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK(fs::is_directory(world.root / "certs.d/docker.io/hosts.toml.aside-1"));
    world.want(desire({}));
    CHECK(fs::is_directory(world.root / kHosts));
    CHECK_FALSE(world.root.exists("certs.d/docker.io/hosts.toml.aside-1"));
}

TEST_CASE("what is kept of another user's comes back though it was out of sight for a while") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    give(world.root / kHosts, 0644);
    const WithoutCapabilities as;
    world.want(desire({"docker.io"}));
    fs::rename(world.root / "certs.d", world.root / "certs.d.away");
    world.want(desire({"docker.io"}));
    fs::remove_all(world.root / "certs.d");
    fs::rename(world.root / "certs.d.away", world.root / "certs.d");
    world.want(desire({"docker.io"}));
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    CHECK_FALSE(world.root.exists("certs.d/docker.io/hosts.toml.aside-1"));
}

TEST_CASE("what another user puts there where a crash left it unsaid what is in place is kept") {
    World world;
    world.root.write(kHosts, "# theirs\n");
    give(world.root / kHosts, 0644);
    {
        const WithoutCapabilities as;
        world.want(desire({"docker.io"}));
    }
    std::string manifest = world.root.read("state/manifest.json");
    const size_t at = manifest.find("\"pruned\": false,");
    REQUIRE(at != std::string::npos);
    world.root.write("state/manifest.json", manifest.insert(at, "\"placed\": false,"));
    SECTION("somebody's newer file") {
        fs::remove(world.root / kHosts);
        world.root.write(kHosts, "# theirs 2\n");
        give(world.root / kHosts, 0644);
        const WithoutCapabilities as;
        world.restart();
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK(world.want(desire({})) == 1);
        CHECK(world.hosts("docker.io") == "# theirs 2\n");
        CHECK(world.root.read("certs.d/docker.io/hosts.toml.aside-1") == "# theirs\n");
    }
    SECTION("a change of the mode alone: the file is known then") {
        REQUIRE(::chmod((world.root / kHosts).c_str(), 0600) == 0);
        const WithoutCapabilities as;
        world.restart();
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK(world.root.read("state/manifest.json").find("\"placed\"") == std::string::npos);
        CHECK(world.want(desire({})) == 1);
        CHECK(world.hosts("docker.io") == "# theirs\n");
    }
}
