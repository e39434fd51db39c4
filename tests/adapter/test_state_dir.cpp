#include "support/keeper_world.hpp"

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include <csignal>

using namespace nodemirror;
namespace fs = std::filesystem;

TEST_CASE("a manifest that cannot be read stops everything, and so does an empty one") {
    World world;
    world.want(desire({"docker.io"}));
    world.root.write("state/manifest.json", GENERATE("{broken", ""));
    RegistryKeeper keeper(files::CertsTree(world.root / "certs.d"), StateDir(world.root / "state"));
    const auto started = keeper.start();
    REQUIRE_FALSE(started);
    CHECK_THAT(started.error().text(), Catch::Contains("manifest.json"));
}

TEST_CASE("state that is nested without end is an error and nothing worse") {
    const TemporaryDirectory root;
    const StateDir state(root / "state");
    REQUIRE(state.ensure());
    root.write("state/mirrors.json",
               "{\"x\": " + std::string(200'000, '[') + std::string(200'000, ']') + "}");
    CHECK_FALSE(state.loadDownMirrors());
}

TEST_CASE("state that is no UTF-8 comes back as it was") {
    const TemporaryDirectory root;
    const StateDir state(root / "state");
    REQUIRE(state.ensure());
    LastGood good;
    good.yaml = "a: \xe9\n";
    good.headerFiles = {{"/etc/\xff", std::string("Basic \xee\xbf\xbf \xc3\xa9 \x80\xbf\xc0\xfe")}};
    REQUIRE(state.saveLastGood(good));
    CHECK(state.loadLastGood()->yaml == good.yaml);
    CHECK(state.loadLastGood()->headerFiles == good.headerFiles);
}

TEST_CASE("state of another version, or with words that are not known, is not guessed at") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml", "# theirs\n");
    world.want(desire({"docker.io"}));
    const std::string good = world.root.read("state/manifest.json");
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        REQUIRE(text.find(from) != std::string::npos);
        text.replace(text.find(from), from.size(), to);
        world.root.write("state/manifest.json", text);
        return StateDir(world.root / "state").loadManifest();
    };
    CHECK(changed("\"version\": 1", "\"version\": 1"));
    const auto newer = changed("\"version\": 1", "\"version\": 2");
    REQUIRE_FALSE(newer);
    CHECK_THAT(newer.error().text(), Catch::Contains("its version 2 is not known"));
    const auto word = changed("\"file\"", "\"reflink\"");
    REQUIRE_FALSE(word);
    CHECK_THAT(word.error().text(), Catch::Contains("unknown type of what was kept \"reflink\""));
}

TEST_CASE("of the earlier backups the newest stay, and one that cannot be read is not replaced") {
    World world;
    const StateDir state(world.root / "state");
    for (int i = 0; i <= 11; ++i) REQUIRE(state.storeBackup("b", std::to_string(i)));
    CHECK(world.root.read("state/backups/b") == "11");
    CHECK(world.root.read("state/backups/b.earlier-1") == "2");
    CHECK(world.root.read("state/backups/b.earlier-9") == "10");
    // A full disk costs none of them, however often it is tried.
    std::signal(SIGXFSZ, SIG_IGN);
    struct rlimit before {};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const struct rlimit small { 1, before.rlim_max };
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    bool failed = true;
    for (int i = 0; i < 12; ++i) failed = failed && !state.storeBackup("b", "12");
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(failed);
    CHECK(world.root.read("state/backups/b") == "11");
    CHECK(world.root.read("state/backups/b.earlier-1") == "3");
    CHECK(world.root.read("state/backups/b.earlier-9") == "11");
    REQUIRE(state.storeBackup("b", "12"));
    CHECK(world.root.read("state/backups/b.earlier-9") == "11");
    fs::permissions(world.root / "state/backups/b", fs::perms(0666));
    CHECK_FALSE(state.storeBackup("b", "13"));
    CHECK(world.root.read("state/backups/b") == "12");
}
