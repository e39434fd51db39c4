#include "support/keeper_world.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace nodemirror;
namespace fs = std::filesystem;
using std::chrono::hours;

TEST_CASE("a pass over what is as desired changes nothing") {
    World world;
    CHECK(world.want(desire({"docker.io", "localhost:5000"})) == 2);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK_THAT(world.hosts("localhost_5000_"), Catch::Contains("mirror.example"));
    struct stat before {
    }, after{};
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &before);
    CHECK(world.keeper->reconcileAll(world.now) == 0);
    CHECK(world.keeper->preview(world.now).empty());
    world.restart();
    CHECK(world.want(desire({"docker.io", "localhost:5000"})) == 0);
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &after);
    CHECK(before.st_ino == after.st_ino);
}

TEST_CASE("drift is healed one directory at a time, and a fight slows down") {
    World world;
    world.want(desire({"docker.io", "quay.io"}));
    const auto drift = [&] { world.root.write("certs.d/docker.io/hosts.toml", "# theirs\n"); };
    for (int i = 0; i < 5; ++i) {
        drift();
        CHECK(world.keeper->reconcile({"docker.io"}, world.now) == 1);
    }
    CHECK(world.keeper->heals() == 5);
    CHECK(world.view("docker.io").state == RegistryState::Contested);
    drift();
    CHECK(world.keeper->reconcile({"docker.io"}, world.now) == 0);
    CHECK(world.view("docker.io").state == RegistryState::Contested);
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("edited"));
    // The other registry is healed meanwhile as ever.
    world.root.write("certs.d/quay.io/hosts.toml", "");
    CHECK(world.keeper->reconcile({"quay.io"}, world.now) == 1);
    CHECK(world.view("quay.io").healCause == "hosts.toml was truncated");
    // And when the wait is over, so is this one.
    world.now.steady = world.keeper->due();
    CHECK(world.keeper->reconcileDue(world.now) == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.now.steady += hours(1);
    world.keeper->reconcileDue(world.now);
    CHECK(world.view("docker.io").state == RegistryState::InSync);
    CHECK(world.keeper->due() == SteadyTime());
}

TEST_CASE("a file that is pruned again and again is a fight too") {
    World world;
    world.want(desire({"docker.io"}, "mirror.example", UnmanagedPolicy::Prune));
    size_t pruned = 0;
    for (int i = 0; i < 100; ++i) {
        world.root.write("certs.d/evil.io/hosts.toml", "# x\n");
        pruned += world.keeper->reconcile({"evil.io"}, world.now);
        world.keeper->reconcile({"evil.io"}, world.now);  // the event of its own removal
        world.now.steady += std::chrono::milliseconds(20);
    }
    CHECK(pruned > 3);
    CHECK(pruned < 12);
    CHECK(world.view("evil.io").state == RegistryState::Contested);
}

TEST_CASE("a preview shows a diff, without secrets, and changes nothing") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml",
                     "[host.\"https://old\"]\n[host.\"https://old\".header]\nX = \"hunter2\"\n");
    auto desired = std::make_shared<Desired>(*desire({"docker.io"}));
    desired->registries[0].mirrors[0].headers["Authorization"] = {Secret("hunter3")};
    world.keeper->intents().setDesired(desired);
    const auto changes = world.keeper->preview(world.now);
    REQUIRE(changes.size() == 1);
    CHECK_THAT(changes[0].diff, Catch::Contains("-[host.\"https://old\"]"));
    CHECK_THAT(changes[0].diff, Catch::Contains("+[host.\"https://mirror.example\"]"));
    CHECK_THAT(changes[0].diff, !Catch::Contains("hunter"));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("hunter2"));
    CHECK_FALSE(world.root.exists("state/manifest.json"));
    world.keeper->reconcileAll(world.now);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("hunter3"));
    struct stat status {};
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &status);
    CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("a directory that could not be looked at once is not looked at for ever") {
    World world;
    world.want(desire({"docker.io"}));
    const std::string certs = world.root / "certs.d";
    const std::string away = world.root / "away";
    const auto hide = [&] {
        fs::rename(certs, away);
        world.root.write("certs.d", "a file: nothing below it can be looked at");
    };
    const auto show = [&] {
        fs::remove(certs);
        fs::rename(away, certs);
    };
    SECTION("of a registry that is declared") {
        hide();
        world.keeper->reconcile({"docker.io"}, world.now);
        CHECK(world.view("docker.io").state == RegistryState::Drifted);
        show();
    }
    SECTION("of one that is not, and is there") {
        world.root.write("certs.d/lab.io/hosts.toml", "# mine\n");
        hide();
        world.keeper->reconcile({"lab.io"}, world.now);
        show();
    }
    SECTION("of one that is not there") {
        hide();
        world.keeper->reconcile({"lab.io"}, world.now);
        show();
    }
    REQUIRE(world.keeper->due() > world.now.steady);
    world.now.steady = world.keeper->due();
    world.keeper->reconcileDue(world.now);
    CHECK(world.keeper->due() == SteadyTime());
}

TEST_CASE("a tree that cannot be made is tried again by itself") {
    World world;
    world.want(desire({"docker.io"}));
    CHECK(world.keeper->due() == SteadyTime());
    fs::remove_all(world.root / "certs.d");
    world.root.write("certs.d", "in the way");
    CHECK(world.keeper->reconcileAll(world.now) == 0);
    CHECK(world.keeper->treeProblem());
    CHECK(world.view("docker.io").state == RegistryState::Drifted);
    fs::remove(world.root / "certs.d");
    REQUIRE(world.keeper->due() != SteadyTime());
    CHECK(world.keeper->reconcileDue(world.now) == 0);
    world.now.steady = world.keeper->due();
    CHECK(world.keeper->reconcileDue(world.now) == 1);
    CHECK_FALSE(world.keeper->treeProblem());
    CHECK(world.view("docker.io").state == RegistryState::InSync);
    CHECK(world.keeper->due() == SteadyTime());
}

TEST_CASE("what others put there is looked at a part at a time, and all of it in the end") {
    World world;
    constexpr int kMany = 600;
    for (int i = 0; i < kMany; ++i)
        world.root.write("certs.d/a" + std::to_string(i) + ".example/hosts.toml",
                         "server = \"https://a.example\"\n" + std::string(16 << 10, '#'));
    world.want(desire({"z.example"}));
    CHECK(world.view("z.example").state == RegistryState::InSync);
    while (world.keeper->areWaiting()) {
        REQUIRE(world.keeper->due() == world.now.steady);
        (void)world.keeper->reconcileDue(world.now);
    }
    CHECK(world.keeper->views().size() == kMany + 1);
    CHECK(world.keeper->due() == SteadyTime());
}

TEST_CASE("a directory of others that changes all the time is looked at now and then") {
    World world;
    world.root.write("certs.d/theirs.example/hosts.toml", "server = \"https://0.example\"\n");
    world.want(desire({"docker.io"}));
    const auto chain = [&] {
        for (const auto& view : world.keeper->views())
            if (view.name == "theirs.example" && !view.chain.empty()) return view.chain[0].host;
        return std::string();
    };
    for (int i = 1; i <= 20; ++i) {
        world.root.write("certs.d/theirs.example/hosts.toml",
                         "server = \"https://" + std::to_string(i) + ".example\"\n");
        world.keeper->reconcile({"theirs.example"}, world.now);
    }
    CHECK(chain() == "4.example");
    REQUIRE(world.keeper->due() > world.now.steady);
    world.now.steady = world.keeper->due();
    (void)world.keeper->reconcileDue(world.now);
    CHECK(chain() == "20.example");
    CHECK(world.keeper->due() == SteadyTime());
    // Once it is declared it is healed at once.
    for (int i = 1; i <= 20; ++i) world.keeper->reconcile({"theirs.example"}, world.now);
    CHECK(world.want(desire({"docker.io", "theirs.example"})) == 1);
    CHECK(world.keeper->due() == SteadyTime());
}
