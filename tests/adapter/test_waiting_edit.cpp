/// Edits of containerd's configuration that wait: for their restart, or for what CRI says.
#include "base/digest.hpp"
#include "support/running_node.hpp"

#include <sys/stat.h>

using namespace nodemirror;

namespace {

using Stage = ConfigEditRecord::Stage;

/// A containerd 2.1 that was started with an edit of its configuration, which has an import.
struct WaitingNode : RunningNode {
    const std::string import = root.write("import.toml", "version = 2\n");
    const std::string before = "version = 2\nimports = [\"" + import + "\"]\n";
    const std::string edited =
        before + "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"" +
        paths.certsDir + "\"\n";

    WaitingNode() {
        containerd.versionText = "2.1.0";
        containerd.bring("registry.k8s.io/pause:3.10");
        root.write("config.toml", edited);
        ConfigEditRecord record;
        record.stage = Stage::Applying;
        record.files.push_back({paths.containerdConfig, true, "one", sha256Hex(edited)});
        REQUIRE(state.storeBackup("one", before));
        REQUIRE(state.saveConfigEdit(record));
        start();
        startKeeper();
    }
    void startKeeper(std::shared_ptr<const Desired> desired = desire({"docker.io"})) {
        keeper = std::make_unique<NodeKeeper>(io, containerd, units, state, paths, kNoQuiet);
        keeper->start();
        keeper->setDesired(std::move(desired));
    }
    /// Nothing is edited yet, and a keeper makes the edit.
    void beginAnew(std::shared_ptr<const Desired> desired) {
        root.write("config.toml", before);
        REQUIRE(state.saveConfigEdit({}));
        startKeeper(std::move(desired));
    }
    /// As if containerd had been started before the edit.
    void makeOlder() {
        units.unit->started -= std::chrono::hours(1);
        units.unit->startedWall -= std::chrono::hours(1);
    }
    /// A person restarts containerd.
    void restart() {
        containerd.process = units.unit->mainPid = containerd.process + 100;
        start();
    }
    Stage stage() const { return state.loadConfigEdit()->stage; }
};

std::shared_ptr<Desired> withBudget(int restarts) {
    auto out = std::make_shared<Desired>(*desire({"docker.io"}));
    out->budget.restarts = restarts;
    return out;
}

}  // namespace

TEST_CASE("a containerd that has read the edit is not restarted for what befalls another file") {
    WaitingNode node;
    SECTION("a person changes an import for later") {
        // Clearly after containerd was started: the clock of files is coarse.
        struct stat status {};
        const auto started = node.units.unit->startedWall.time_since_epoch();
        do {
            node.root.write("import.toml", "version = 2\n# for later\n");
            REQUIRE(::stat(node.import.c_str(), &status) == 0);
        } while (std::chrono::seconds(status.st_ctim.tv_sec) +
                     std::chrono::nanoseconds(status.st_ctim.tv_nsec) <=
                 started);
    }
    SECTION("an import is broken") { node.root.write("import.toml", "version = = 2\n"); }
    SECTION("an import is gone") { std::filesystem::remove(node.import); }
    (void)node.pass();
    CHECK(node.units.restarts.empty());
    CHECK(node.stage() == Stage::None);
}

TEST_CASE("a containerd that runs is not restarted into a configuration that cannot be read") {
    WaitingNode node;
    node.root.write("import.toml", "version = = 2\n");
    SECTION("to read the edit") {
        node.makeOlder();
        CHECK(has(node.pass(), "RestartWouldFail"));
        CHECK(node.stage() == Stage::Applying);
        CHECK(node.units.restarts.empty());
        node.root.write("import.toml", "version = 2\n");
        CHECK_FALSE(has(node.pass(), "RestartWouldFail"));
        CHECK(node.stage() == Stage::None);
    }
    SECTION("to read what was put back") {
        node.containerd.refuses = true;
        node.units.onRestart = [&] { node.containerd.refuses = false; };
        CHECK(has(node.pass(), "RestartWouldFail"));
        CHECK(node.stage() == Stage::RolledBack);
        CHECK(node.root.read("config.toml") == node.before);
        CHECK(node.units.restarts.empty());
        node.root.write("import.toml", "version = 2\n");
        CHECK(has(node.pass(), "ConfigRolledBack") == false);
        CHECK(node.units.restarts.size() >= 1);
    }
    CHECK(node.units.restarts.size() <= 2);
}

TEST_CASE("an import that cannot be read any more is watched until it is mended") {
    WaitingNode node;
    (void)node.pass();
    node.root.write("import.toml", "version = = 2\n");
    CHECK(has(node.pass(), "ConfigUnreadable"));
    const auto watched = node.keeper->configFiles();
    CHECK(std::count(watched.begin(), watched.end(), node.import) == 1);
}

TEST_CASE("an edit that nobody here may restart containerd for is judged when somebody does") {
    WaitingNode node;
    auto never = std::make_shared<Desired>(*desire({"docker.io"}));
    never->containerd.restart = false;
    node.beginAnew(never);
    CHECK(has(node.pass(), "RestartNeeded"));
    CHECK(node.stage() == Stage::Applying);
    REQUIRE(node.root.read("config.toml") != node.before);
    SECTION("it loads") {
        node.restart();
        CHECK_FALSE(has(node.pass(), "RestartNeeded"));
        CHECK(node.stage() == Stage::None);
        CHECK(node.root.read("config.toml") != node.before);
    }
    SECTION("CRI refuses it") {
        node.containerd.refuses = true;
        node.restart();
        const auto codes = node.pass();
        CHECK(has(codes, "RestartNeeded"));
        CHECK(has(codes, "ConfigRolledBack"));
        CHECK(node.root.read("config.toml") == node.before);
        node.containerd.refuses = false;
        node.restart();
        CHECK_FALSE(has(node.pass(), "RestartNeeded"));
        CHECK_FALSE(node.state.loadConfigEdit()->restartOwed);
    }
    CHECK(std::count(node.units.restarts.begin(), node.units.restarts.end(),
                     "containerd.service") == 0);
}

TEST_CASE("no edit is made or proven without a restart left to take it back") {
    WaitingNode node;
    node.units.onRestart = [&] {
        node.containerd.refuses = node.root.read("config.toml") != node.before;
        node.start();
    };
    SECTION("of a budget of one") {
        node.beginAnew(withBudget(1));
        CHECK(has(node.pass(), "RestartBudget"));
        CHECK(node.root.read("config.toml") == node.before);
        CHECK(node.units.restarts.empty());
    }
    SECTION("of which one is used") {
        // The end of the first is not heard of.
        const auto onRestart = std::exchange(node.units.onRestart, nullptr);
        node.units.result = "canceled";
        node.beginAnew(withBudget(2));
        (void)node.pass();
        REQUIRE(node.units.restarts.size() == 1);
        node.units.result = "done";
        node.units.onRestart = onRestart;
        node.startKeeper(withBudget(2));
        CHECK(has(node.pass(), "RestartBudget"));
        CHECK(node.stage() == Stage::Applying);
        CHECK(node.units.restarts.size() == 1);
        node.startKeeper(withBudget(3));
        CHECK(has(node.pass(), "ConfigRolledBack"));
        CHECK(node.units.restarts.size() == 3);
        CHECK_FALSE(node.containerd.refuses);
    }
}

TEST_CASE("no clock that was set makes an old containerd one that has read the edit") {
    WaitingNode node;
    node.units.unit->mainPid = 7;  // k3s itself: of containerd the socket's age alone is known
    node.paths.containerdSocket = node.root.write("containerd.sock", "");
    // Made at a time to come, since the clock was set back then.
    using std::filesystem::file_time_type;
    auto never = std::make_shared<Desired>(*desire({"docker.io"}));
    never->containerd.restart = false;
    file_time_type made;
    do {
        made = file_time_type::clock::now() + std::chrono::seconds(2);
        std::filesystem::last_write_time(node.paths.containerdSocket, made);
        node.beginAnew(never);
        (void)node.pass();
    } while (file_time_type::clock::now() > made);  // the edit is to look older than the socket
    REQUIRE(node.stage() == Stage::Applying);
    while (file_time_type::clock::now() <= made) continue;
    (void)node.pass();
    CHECK(node.stage() == Stage::Applying);
    node.startKeeper(never);
    (void)node.pass();
    CHECK(node.stage() == Stage::Applying);
    CHECK_FALSE(node.keeper->view().configPath.effective.value_or(false));
    CHECK(node.state.loadCertsReader()->empty());
}

TEST_CASE("a containerd of another unit is waited for, not for the budget") {
    WaitingNode node;
    node.units.serves = nullptr;
    node.beginAnew(withBudget(2));
    CHECK(has(node.pass(), "RestartNeeded"));
    const auto codes = node.pass();
    CHECK(has(codes, "RestartNeeded"));
    CHECK_FALSE(has(codes, "RestartBudget"));
    CHECK(node.units.restarts.size() == 1);
}

TEST_CASE("a restart of the daemon is no reason to restart containerd") {
    WaitingNode node;
    node.paths.containerdSocket = node.root.write("containerd.sock", "");
    node.startKeeper();
    (void)node.pass();
    REQUIRE(node.stage() == Stage::None);
    // What a person prepares for a later restart, and what restorecon does, change the file's time.
    node.makeOlder();
    node.root.write("config.toml", node.edited + "[debug]\n  level = \"info\"\n");
    (void)node.pass();
    CHECK(node.units.restarts.empty());
    node.startKeeper();
    (void)node.pass();
    CHECK(node.units.restarts.empty());
    SECTION("and another containerd is another one") {
        std::filesystem::remove(node.paths.containerdSocket);
        node.root.write("containerd.sock", "");
        node.containerd.process = node.units.unit->mainPid = 999;
        node.makeOlder();
        node.startKeeper();
        (void)node.pass();
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("a configuration that was made and taken away again is not missed") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    std::filesystem::remove(node.paths.containerdConfig);
    node.keeper = std::make_unique<NodeKeeper>(node.io, node.containerd, node.units, node.state,
                                               node.paths, kNoQuiet);
    node.keeper->start();
    node.keeper->setDesired(desire({"docker.io"}));
    node.units.result = "no reply";
    (void)node.pass();
    REQUIRE(node.root.exists("config.toml"));
    node.containerd.process = node.units.unit->mainPid = 200;
    node.start();
    node.containerd.refuses = true;
    node.units.result = "done";
    node.units.onRestart = [&] { node.containerd.refuses = false; };
    node.keeper = std::make_unique<NodeKeeper>(node.io, node.containerd, node.units, node.state,
                                               node.paths, kNoQuiet);
    node.keeper->start();
    node.keeper->setDesired(desire({"docker.io"}));
    const auto codes = node.pass();
    CHECK_FALSE(node.root.exists("config.toml"));
    CHECK(has(codes, "ConfigRolledBack"));
    CHECK_FALSE(has(codes, "ConfigUnreadable"));
    SECTION("and what somebody makes in its place is") {
        node.root.write("config.toml", node.config);
        node.start();
        CHECK_FALSE(has(node.pass(), "ConfigRolledBack"));
        std::filesystem::remove(node.paths.containerdConfig);
        node.containerd.versionText = "1.7.25";
        CHECK(has(node.pass(), "ConfigUnreadable"));
        CHECK_FALSE(node.root.exists("config.toml"));
    }
}

TEST_CASE("a preview that sees containerd gone is no reason not to tell it") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    node.containerd.livePath = node.paths.certsDir;
    REQUIRE_FALSE(has(node.pass(), "ContainerdUnreachable"));
    node.containerd.process = 0;
    (void)finish(node.io, node.keeper->preview());
    CHECK_FALSE(node.keeper->view().reachable.value_or(true));
    // What it triggered: settle() makes a pass, and ends when none is due.
    std::vector<std::string> codes;
    finish(node.io, node.keeper->settle(std::chrono::steady_clock::now()));
    for (const auto& reason : node.keeper->view().reasons) codes.push_back(reason.code);
    CHECK(has(codes, "ContainerdUnreachable"));
}

TEST_CASE("nothing is edited and restarted between two commands that set the configuration up") {
    WaitingNode node;
    (void)node.pass();
    REQUIRE(node.stage() == Stage::None);
    const auto startWith = [&](std::chrono::milliseconds quiet) {
        node.keeper = std::make_unique<NodeKeeper>(node.io, node.containerd, node.units, node.state,
                                                   node.paths, quiet);
        node.keeper->start();
        node.keeper->setDesired(desire({"docker.io"}));
    };
    startWith(std::chrono::hours(1));
    CHECK_FALSE(has(node.pass(), "ConfigSettling"));
    SECTION("what sets no config_path is not edited yet") {
        node.root.write("config.toml", node.before);
        CHECK(has(node.pass(), "ConfigSettling"));
        CHECK(node.root.read("config.toml") == node.before);
        CHECK(node.stage() == Stage::None);
    }
    SECTION("for what containerd has not read it is not restarted yet") {
        node.root.write("config.toml", node.before);
        node.restart();
        CHECK(has(node.pass(), "ConfigSettling"));
        node.root.write("config.toml", node.edited);
        node.makeOlder();
        CHECK(has(node.pass(), "ConfigSettling"));
        CHECK(node.root.read("config.toml") == node.edited);
    }
    CHECK(node.units.restarts.empty());
    SECTION("what a start finds has been there for longer") {
        node.root.write("config.toml", node.before);
        startWith(std::chrono::hours(1));
        CHECK_FALSE(has(node.pass(), "ConfigSettling"));
        CHECK(node.root.read("config.toml") != node.before);
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("an edit that was taken back for what is not its fault is made again, and not for ever") {
    WaitingNode node;
    node.beginAnew(withBudget(10));
    node.units.onRestart = [&] { node.containerd.refuses = true; };
    SECTION("CRI refuses the earlier configuration too") {
        for (int i = 0; i < 5; ++i) CHECK_FALSE(has(node.pass(), "ConfigRolledBack"));
        CHECK(node.units.restarts.size() == 2);
        CHECK(node.root.read("config.toml") == node.before);
        node.units.onRestart = nullptr;
        node.containerd.refuses = false;
        node.restart();
        (void)node.pass();
        CHECK(node.root.read("config.toml") != node.before);
        CHECK(node.stage() == Stage::None);
    }
    SECTION("which has legacy tables, that the edit takes out") {
        const std::string legacy =
            node.edited +
            "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
            "  endpoint = [\"https://old.example\"]\n";
        node.root.write("config.toml", legacy);
        node.containerd.refuses = true;
        node.makeOlder();
        std::vector<std::string> codes;
        for (int i = 0; i < 5; ++i) codes = node.pass();
        CHECK(has(codes, "ConfigRolledBack"));
        CHECK(node.units.restarts.size() == 2);
        CHECK(node.root.read("config.toml") == legacy);
    }
}

TEST_CASE("legacy mirrors are handed on when the edit that takes them out is made") {
    WaitingNode node;
    std::vector<Registry> replaced;
    int times = 0;
    const std::string legacy =
        node.before +
        "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
        "  endpoint = [\"https://old.example\"]\n";
    node.beginAnew(withBudget(1));
    node.root.write("config.toml", legacy);
    node.keeper->onReplaced([&](const std::vector<Registry>& registries) {
        replaced = registries;
        ++times;
    });
    CHECK(has(node.pass(), "RestartBudget"));
    CHECK(times == 0);
    node.keeper->setDesired(withBudget(2));
    (void)node.pass();
    CHECK(times == 1);
    REQUIRE(replaced.size() == 1);
    CHECK(replaced[0].name == "docker.io");
    CHECK(replaced[0].mirrors.front().url.host == "old.example");
}
