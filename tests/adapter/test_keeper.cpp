#include "support/keeper_world.hpp"

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

using namespace nodemirror;
namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("a pass over what is as desired changes nothing") {
    World world;
    CHECK(world.want(desire({"docker.io", "localhost:5000"})) == 2);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    CHECK_THAT(world.hosts("localhost_5000_"), Catch::Contains("mirror.example"));
    struct stat before {
    }, after{};
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &before);
    CHECK(world.keeper->reconcileAll(world.now) == 0);
    CHECK(world.keeper->preview().empty());
    world.restart();
    CHECK(world.want(desire({"docker.io", "localhost:5000"})) == 0);
    ::stat((world.root / "certs.d/docker.io/hosts.toml").c_str(), &after);
    CHECK(before.st_ino == after.st_ino);
}

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

TEST_CASE("a manifest that cannot be read stops everything, and so does an empty one") {
    World world;
    world.want(desire({"docker.io"}));
    world.root.write("state/manifest.json", GENERATE("{broken", ""));
    RegistryKeeper keeper(files::CertsTree(world.root / "certs.d"), StateDir(world.root / "state"));
    const auto started = keeper.start();
    REQUIRE_FALSE(started);
    CHECK_THAT(started.error().text(), Catch::Contains("manifest.json"));
}

TEST_CASE("a preview shows a diff, without secrets, and changes nothing") {
    World world;
    world.root.write("certs.d/docker.io/hosts.toml",
                     "[host.\"https://old\"]\n[host.\"https://old\".header]\nX = \"hunter2\"\n");
    auto desired = std::make_shared<Desired>(*desire({"docker.io"}));
    desired->registries[0].mirrors[0].headers["Authorization"] = {Secret("hunter3")};
    world.keeper->intents().setDesired(desired);
    const auto changes = world.keeper->preview();
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
