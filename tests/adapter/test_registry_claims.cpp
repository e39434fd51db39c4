#include "support/keeper_world.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <fstream>

using namespace nodemirror;
namespace fs = std::filesystem;
using std::chrono::hours;

TEST_CASE("the earlier file survives changes, restarts and re-declarations") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml", "# mine\n");
    fs::permissions(world.root / "certs.d/docker.io/hosts.toml", fs::perms(0640));
    world.want(desire({"docker.io"}));
    world.restart();
    world.want(desire({"docker.io"}, "second.example"));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("second.example"));
    world.restart();
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# mine\n");
    struct stat status {};
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &status);
    CHECK((status.st_mode & 07777) == 0640);
    CHECK(world.view("docker.io").state == RegistryState::Unmanaged);
}

TEST_CASE("a claim that was recorded before a crash is not mistaken for the user's file") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml", "# mine\n");
    world.want(desire({"docker.io"}));
    const std::string ours = world.hosts("docker.io");
    SECTION("crashed before the write: the user's file is still there, and stays") {
        world.root.write("certs.d/docker.io/hosts.toml", "# mine\n");
        world.restart();
        world.want(desire({}));
        CHECK(world.hosts("docker.io") == "# mine\n");
    }
    SECTION("crashed between two versions: the older one of ours is known too") {
        world.want(desire({"docker.io"}, "second.example"));
        world.root.write("certs.d/docker.io/hosts.toml", ours);
        world.restart();
        world.want(desire({}));
        CHECK(world.hosts("docker.io") == "# mine\n");
    }
}

TEST_CASE("a crash while a file is given back does not lose it") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml", "# mine\n");
    world.want(desire({"docker.io"}));
    const std::string manifest = world.root.read("state/manifest.json");
    world.want(desire({}));
    REQUIRE(world.hosts("docker.io") == "# mine\n");
    // As if it had been killed after the file was back and before the manifest was saved: what was
    // kept must still be there then, which it is only if it goes last.
    SECTION("the backup goes after the manifest") {
        CHECK_FALSE(world.root.exists("state/backups/docker.io@hosts.toml"));
        CHECK_THAT(world.root.read("state/manifest.json"), !Catch::Contains("docker.io"));
    }
    SECTION("and is still there when the manifest could not be saved") {
        world.want(desire({"docker.io"}));
        fs::rename(world.root / "state/manifest.json", world.root / "state/kept.json");
        fs::create_directories(world.root / "state/manifest.json/in-the-way");
        world.want(desire({}));
        CHECK(world.hosts("docker.io") == "# mine\n");
        CHECK(world.root.exists("state/backups/docker.io@hosts.toml"));
        fs::remove_all(world.root / "state/manifest.json");
        fs::rename(world.root / "state/kept.json", world.root / "state/manifest.json");
        world.restart();
        world.want(desire({"docker.io"}));
        world.want(desire({}));
        CHECK(world.hosts("docker.io") == "# mine\n");
    }
}

TEST_CASE("pruning keeps what it takes, and a newer file as well") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# one\n");
    world.want(desire({"docker.io"}, "mirror.example", UnmanagedPolicy::Prune));
    CHECK_FALSE(world.root.exists("certs.d/quay.io"));
    world.root.write("certs.d/quay.io/hosts.toml", "# two\n");
    CHECK(world.keeper->reconcileAll(world.now) == 1);
    CHECK_FALSE(world.root.exists("certs.d/quay.io"));
    world.restart();
    world.want(desire({"docker.io"}));
    CHECK(world.hosts("quay.io") == "# two\n");
}

TEST_CASE("what is written after a prune is what comes back when the registry is released") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# old\n");
    world.want(desire({}, "mirror.example", UnmanagedPolicy::Prune));
    REQUIRE_FALSE(world.root.exists("certs.d/quay.io/hosts.toml"));
    // While the daemon is away somebody writes it, and then declares it.
    world.root.write("certs.d/quay.io/hosts.toml", "# new\n");
    world.restart();
    world.want(desire({"quay.io"}));
    CHECK_THAT(world.hosts("quay.io"), Catch::Contains("mirror.example"));
    world.want(desire({}));
    CHECK(world.hosts("quay.io") == "# new\n");
    CHECK(world.root.read("state/backups/quay.io@hosts.toml.earlier-1") == "# old\n");
}

TEST_CASE("a link that takes the place of a pruned directory comes back too") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# old\n");
    world.want(desire({}, "mirror.example", UnmanagedPolicy::Prune));
    std::filesystem::remove_all(world.root / "certs.d/quay.io");
    world.root.write("theirs/hosts.toml", "# new\n");
    std::filesystem::create_directory_symlink(world.root / "theirs",
                                              world.root / "certs.d/quay.io");
    world.restart();
    world.want(desire({"quay.io"}));
    CHECK_FALSE(std::filesystem::is_symlink(world.root / "certs.d/quay.io"));
    world.want(desire({}));
    CHECK(std::filesystem::is_symlink(world.root / "certs.d/quay.io"));
    CHECK(world.hosts("quay.io") == "# new\n");
}

TEST_CASE("a lost manifest does not cost the only copy of what was there before") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml", "# theirs\n");
    world.want(desire({"docker.io"}));
    std::filesystem::remove(world.root / "state/manifest.json");
    world.restart();
    world.want(desire({"docker.io"}, "second.example"));
    CHECK(world.root.read("state/backups/docker.io@hosts.toml.earlier-1") == "# theirs\n");
}

TEST_CASE("what is given back is not fought for any more") {
    World world;
    world.want(desire({"docker.io"}));
    for (int i = 0; i < 6; ++i) {
        world.root.write("certs.d/docker.io/hosts.toml", "# theirs\n");
        world.keeper->reconcile({"docker.io"}, world.now);
    }
    REQUIRE(world.view("docker.io").state == RegistryState::Contested);
    world.now.steady = world.keeper->due();
    world.root.write("certs.d/docker.io/hosts.toml", "# theirs\n");
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# theirs\n");
    world.now.steady += hours(1);
    world.keeper->reconcileDue(world.now);
    CHECK(world.keeper->due() == SteadyTime());
    CHECK(world.view("docker.io").state == RegistryState::Unmanaged);
}

TEST_CASE("names and contents that are no UTF-8 are kept as they are") {
    World world;
    const std::string latin = "caf\xe9.example";
    const std::string kept = "\xee\xbe\x80 \xff";  // looks like what stands for a byte
    world.root.write("certs.d/" + latin + "/hosts.toml", "# " + kept + "\n");
    fs::create_directories(world.root / "certs.d/quay.io");
    fs::create_symlink("/r\xe9serve", world.root / "certs.d/quay.io/hosts.toml");
    world.want(desire({"quay.io"}, "mirror.example", UnmanagedPolicy::Prune));
    CHECK_FALSE(world.root.exists("certs.d/" + latin));
    world.restart();
    world.want(desire({}));
    CHECK(world.hosts(latin) == "# " + kept + "\n");
    CHECK(fs::read_symlink(world.root / "certs.d/quay.io/hosts.toml") == "/r\xe9serve");
}

TEST_CASE("a claim that could not be recorded is made again") {
    World world;
    fs::create_directories(world.root / "certs.d/docker.io/hosts.toml/inner");
    // The manifest cannot be replaced by a file while a directory has its name.
    fs::create_directories(world.root / "state/manifest.json/x");
    CHECK(world.want(desire({"docker.io"})) == 0);
    CHECK(world.view("docker.io").state == RegistryState::Drifted);
    CHECK_THAT(world.view("docker.io").problem,
               Catch::Contains(world.root / "state/manifest.json"));
    fs::remove_all(world.root / "state/manifest.json");
    world.now.steady = world.keeper->due();
    world.keeper->reconcileDue(world.now);
    REQUIRE_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.want(desire({}));
    CHECK(world.root.exists("certs.d/docker.io/hosts.toml/inner"));
}

TEST_CASE("what is owned is healed where a claim cannot be recorded") {
    World world;
    world.want(desire({"docker.io"}));
    fs::rename(world.root / "state/manifest.json", world.root / "state/kept.json");
    fs::create_directories(world.root / "state/manifest.json/x");
    fs::remove(world.root / "certs.d/docker.io/hosts.toml");
    // Together with the claim that fails, and after it.
    CHECK(world.want(desire({"docker.io", "quay.io"})) == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK(world.view("quay.io").state == RegistryState::Drifted);
    CHECK_FALSE(world.root.exists("certs.d/quay.io/hosts.toml"));
    fs::remove(world.root / "certs.d/docker.io/hosts.toml");
    CHECK(world.keeper->reconcile({"docker.io"}, world.now) == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    fs::remove_all(world.root / "state/manifest.json");
    world.now.steady = world.keeper->due();
    world.keeper->reconcileDue(world.now);
    CHECK_THAT(world.hosts("quay.io"), Catch::Contains("mirror.example"));
}

TEST_CASE("an order of mirrors that was written before needs nothing to be recorded") {
    World world;
    world.want(desire({"docker.io"}, "a.example"));
    world.want(desire({"docker.io"}, "b.example"));
    fs::rename(world.root / "state/manifest.json", world.root / "state/kept.json");
    fs::create_directories(world.root / "state/manifest.json/x");
    world.want(desire({"docker.io"}, "a.example"));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("a.example"));
}

TEST_CASE("what appears where a claim came to nothing is kept as what was there before") {
    World world;
    // A volume that is not mounted yet.
    fs::create_directory_symlink(world.root / "volume", world.root / "certs.d");
    world.want(desire({"docker.io"}));
    CHECK(world.view("docker.io").state == RegistryState::Drifted);
    const std::string mine = "server = \"https://mine.example\"\n";
    SECTION("at the next try") {}
    SECTION("after a restart of the daemon") {
        world.restart();
        world.keeper->intents().setDesired(desire({"docker.io"}));
    }
    world.root.write("volume/docker.io/hosts.toml", mine);
    world.now.steady += std::chrono::minutes(2);
    CHECK(world.keeper->reconcileAll(world.now) == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK(world.keeper->earlierText("docker.io") == mine);
    // From then on a change is drift, and what was there before stays what it was.
    world.root.write("volume/docker.io/hosts.toml", "# drift\n");
    if (GENERATE(false, true)) world.restart();
    CHECK(world.want(desire({"docker.io"})) == 1);
    CHECK(world.keeper->earlierText("docker.io") == mine);
    CHECK(world.want(desire({})) == 1);
    CHECK(world.hosts("docker.io") == mine);
}

TEST_CASE("legacy mirrors that gave way come back as a hosts.toml") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# a person's\n");
    world.want(desire({"docker.io", "quay.io"}));
    auto legacy = *desire({"docker.io", "quay.io", "undeclared.example"}, "old.example");
    world.keeper->keepReplaced(legacy.registries);
    world.keeper->keepReplaced(desire({"docker.io"}, "later.example")->registries);
    world.restart();
    CHECK(world.want(desire({})) == 2);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("later.example"));
    CHECK_THAT(world.hosts("docker.io"), !Catch::Contains("Written by nodemirrord"));
    CHECK(world.hosts("quay.io") == "# a person's\n");
    CHECK_FALSE(world.root.exists("certs.d/undeclared.example"));
}

TEST_CASE("a hosts.toml that somebody is writing is claimed when it is whole") {
    World world;
    const std::string path = world.root.write("certs.d/docker.io/hosts.toml", "# half");
    {
        std::ofstream writer(path, std::ios::app);
        CHECK(world.want(desire({"docker.io"})) == 0);
        CHECK_THAT(world.view("docker.io").problem, Catch::Contains("open for writing"));
        CHECK(world.hosts("docker.io") == "# half");
        writer << " and half\n";
    }
    world.now.steady = world.keeper->due();
    CHECK(world.keeper->reconcileDue(world.now) == 1);
    CHECK(world.keeper->earlierText("docker.io") == "# half and half\n");
}
