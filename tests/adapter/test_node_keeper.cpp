#include "files/file_age.hpp"
#include "reconcile/node_keeper.hpp"
#include "support/keeper_world.hpp"
#include "support/scripted_node.hpp"

#include <algorithm>

using namespace nodemirror;

namespace {

struct Node {
    TemporaryDirectory root;
    boost::asio::io_context io;
    ScriptedContainerd containerd;
    ScriptedUnits units;
    StateDir state{root / "state"};

    Node() {
        spdlog::set_default_logger(
            std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::null_sink_mt>()));
        REQUIRE(state.ensure());
        ObservedUnit running;
        running.exists = true;
        running.activeState = "active";
        units.unit = running;
    }
};

ImagePlan missing(const std::string& name) {
    ImagePlan plan;
    plan.missing.resize(1);
    plan.missing[0].image.name = name;
    plan.missing[0].reason = "the test wants it";
    return plan;
}

}  // namespace

TEST_CASE("an image that cannot be pulled is due again, and one that came otherwise is not") {
    Node node;
    ImageKeeper keeper(node.io, node.containerd, [] {});
    node.containerd.pullError = "no such host";
    finish(node.io, keeper.apply(missing("a.example/x:1")));
    REQUIRE(node.containerd.pulls.size() == 1);
    CHECK(keeper.due() > std::chrono::steady_clock::now());
    CHECK_THAT(keeper.error("a.example/x:1"), Catch::Contains("no such host"));
    // Not before its time.
    finish(node.io, keeper.apply(missing("a.example/x:1")));
    CHECK(node.containerd.pulls.size() == 1);
    SECTION("somebody brought it") {
        finish(node.io, keeper.apply(ImagePlan()));
        CHECK(keeper.due() == SteadyTime());
    }
    SECTION("it is being pulled") {
        keeper.forgetFailures();
        node.containerd.pullError.clear();
        bool duringPull = true;
        auto apply = [&]() -> Task<void> {
            auto task = keeper.apply(missing("a.example/x:1"));
            co_await std::move(task);
            duringPull = keeper.due() != SteadyTime();
        };
        finish(node.io, apply());
        CHECK_FALSE(duringPull);
        CHECK(keeper.due() == SteadyTime());
    }
}

TEST_CASE("an image that somebody removes again and again is not brought back at once for ever") {
    Node node;
    ImageKeeper keeper(node.io, node.containerd, [] {});
    const auto removed = [&](bool pause) {
        node.containerd.images.clear();
        auto plan = missing("a.example/x:1");
        plan.missing[0].image.pause = pause;
        finish(node.io, keeper.apply(std::move(plan)));
        return node.containerd.pulls.size();
    };
    CHECK(removed(false) == 1);
    CHECK(removed(false) == 2);
    CHECK(removed(false) == 3);
    CHECK(removed(false) == 3);
    CHECK_THAT(keeper.error("a.example/x:1"), Catch::Contains("removed it soon"));
    CHECK(keeper.due() > std::chrono::steady_clock::now() + std::chrono::seconds(60));
    keeper.forgetFailures();  // a person asks
    CHECK(removed(false) == 4);
    CHECK(removed(true) == 5);
    CHECK(removed(true) == 6);
}

TEST_CASE("restarts of a time to come do not lock the budget until then") {
    Node node;
    Desired desired;
    desired.budget.restarts = 1;
    desired.budget.per = std::chrono::hours(1);
    const auto now = std::chrono::system_clock::now();
    const auto freeIn = [&](std::chrono::minutes ahead) {
        Restarter restarter(node.units, node.state);
        REQUIRE(node.state.saveRestarts({{"x.service", {now + ahead}}}));
        REQUIRE(restarter.start());
        restarter.setDesired(desired);
        finish(node.io, restarter.observe("x.service"));
        CHECK(restarter.budgetLeft("x.service") == 0);
        const WallTime free = restarter.freeAt("x.service");
        return free - std::chrono::system_clock::now();
    };
    CHECK(freeIn(std::chrono::hours(24)) <= std::chrono::hours(1));
    CHECK(freeIn(std::chrono::minutes(30)) <= std::chrono::hours(1));
    CHECK(freeIn(std::chrono::minutes(-30)) <= std::chrono::minutes(30));
}

TEST_CASE("nothing is restarted that cannot be looked at, or that a person stopped") {
    using Outcome = Restarter::Outcome;
    Node node;
    Restarter restarter(node.units, node.state);
    REQUIRE(restarter.start());
    const Service service{"kubelet.service", true};
    std::vector<Reason> reasons;
    SECTION("it runs") {
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::Restarted);
        CHECK(node.units.restarts.size() == 1);
    }
    SECTION("systemd cannot be asked") {
        node.units.unit.reset();
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].code == "RestartNotPossible");
        CHECK(node.units.restarts.empty());
    }
    SECTION("it is stopped") {
        node.units.unit->activeState = "inactive";
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::Never);
        CHECK(node.units.restarts.empty());
        // Nothing is owed to it either, whatever its policy.
        const Service never{"kubelet.service", false};
        CHECK(finish(node.io, restarter.restart(never, "x", &reasons)) == Outcome::Never);
        CHECK(reasons.empty());
    }
    SECTION("its restart is never") {
        const Service never{"kubelet.service", false};
        CHECK(finish(node.io, restarter.restart(never, "x", &reasons)) == Outcome::Never);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].code == "RestartNeeded");
        CHECK(node.units.restarts.empty());
    }
    SECTION("the budget is used up, and the reason says until when") {
        Desired desired;
        desired.budget.restarts = 1;
        restarter.setDesired(desired);
        (void)finish(node.io, restarter.restart(service, "x", &reasons));
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].until == restarter.freeAt("kubelet.service"));
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("a unit that does not start is not restarted in a loop") {
    Node node;
    Desired desired;
    desired.budget.restarts = 50;
    Restarter restarter(node.units, node.state);
    restarter.setDesired(desired);
    node.units.result = "failed";
    std::vector<Reason> reasons;
    const auto restart = [&] {
        reasons.clear();
        return finish(node.io, restarter.restart(desired.kubelet, "a test", &reasons));
    };
    CHECK(restart() == Restarter::Outcome::Failed);
    for (int i = 0; i < 5; ++i) CHECK(restart() == Restarter::Outcome::NotNow);
    CHECK(node.units.restarts.size() == 1);
    CHECK(restarter.budgetLeft(desired.kubelet.unit) == 49);
    REQUIRE(reasons.size() == 1);
    CHECK(reasons[0].code == "RestartFailed");
    REQUIRE(reasons[0].until);
    CHECK(*reasons[0].until > std::chrono::system_clock::now() + std::chrono::seconds(5));
    // Another unit is another matter.
    node.units.result = "done";
    CHECK(finish(node.io, restarter.restart(desired.containerd, "a test", &reasons)) ==
          Restarter::Outcome::Restarted);
}

namespace {

/// A node whose containerd was started after its configuration, and reads certs.d.
struct RunningNode : Node {
    NodeKeeper::Paths paths;
    std::string config;
    std::unique_ptr<NodeKeeper> keeper;

    RunningNode() {
        paths.containerdConfig = root / "config.toml";
        paths.certsDir = root / "certs.d";
        config =
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"" +
            paths.certsDir + "\"\n";
        root.write("config.toml", config);
        units.unit->mainPid = containerd.processId();
        start();
        keeper = std::make_unique<NodeKeeper>(io, containerd, units, state, paths);
        REQUIRE(keeper->start());
        keeper->setDesired(desire({"docker.io"}));
    }
    /// The processes of the units are started now.
    void start() {
        units.unit->started = std::chrono::steady_clock::now();
        units.unit->startedWall = std::chrono::system_clock::now();
    }
    std::vector<std::string> pass() {
        keeper->trigger();
        finish(io, keeper->settle(std::chrono::steady_clock::now()));
        std::vector<std::string> out;
        for (const auto& reason : keeper->view().reasons) out.push_back(reason.code);
        return out;
    }
};

bool has(const std::vector<std::string>& codes, const std::string& code) {
    return std::count(codes.begin(), codes.end(), code) > 0;
}

}  // namespace

TEST_CASE("a kubelet that was started meanwhile is not restarted again") {
    RunningNode node;
    node.containerd.pullError = "no such host";
    CHECK(has(node.pass(), "PauseImageMissing"));
    node.containerd.bring("registry.k8s.io/pause:3.8");
    node.units.result = "failed";
    CHECK(has(node.pass(), "RestartFailed"));
    CHECK(node.units.restarts == std::vector<std::string>{"kubelet.service"});
    CHECK(has(node.pass(), "RestartFailed"));
    node.start();
    CHECK_FALSE(has(node.pass(), "RestartFailed"));
    CHECK(node.units.restarts.size() == 1);
}

namespace {

/// A person added what has to be moved out, and the restart that this takes fails.
struct EditedNode : RunningNode {
    EditedNode() {
        containerd.bring("registry.k8s.io/pause:3.8");
        (void)pass();
        REQUIRE(units.restarts.empty());
        root.write("config.toml", config +
                                      "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors."
                                      "\"docker.io\"]\n  endpoint = [\"https://old.example\"]\n");
        units.result = "failed";
    }
    ConfigEditRecord::Stage stage() const { return state.loadConfigEdit()->stage; }
    /// No process is left, and the unit is in this state.
    void end(const std::string& activeState) {
        containerd.process = units.unit->mainPid = 0;
        units.unit->activeState = activeState;
    }
};

}  // namespace

TEST_CASE("an edit with which containerd does not start is taken back at once") {
    using Stage = ConfigEditRecord::Stage;
    EditedNode node;
    SECTION("it fails") {
        node.units.onRestart = [&] { node.end("failed"); };
        (void)node.pass();
        CHECK(node.stage() == Stage::RolledBack);
        CHECK_THAT(node.root.read("config.toml"), Catch::Contains("old.example"));
    }
    SECTION("a person stops it meanwhile, and starts it later") {
        node.units.onRestart = [&] { node.end("inactive"); };
        (void)node.pass();
        CHECK(node.stage() == Stage::Applying);
        CHECK_THAT(node.root.read("config.toml"), !Catch::Contains("old.example"));
        node.containerd.process = node.units.unit->mainPid = 2;
        node.units.unit->activeState = "active";
        node.start();
        (void)node.pass();
        CHECK(node.stage() == Stage::None);
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("an edit is proven by a containerd that was started after it") {
    using Stage = ConfigEditRecord::Stage;
    EditedNode node;
    CHECK(has(node.pass(), "RestartFailed"));
    REQUIRE(node.units.restarts == std::vector<std::string>{"containerd.service"});
    CHECK(node.stage() == Stage::Applying);
    SECTION("the old one runs on, and proves nothing") {
        CHECK(has(node.pass(), "RestartFailed"));
        CHECK(node.stage() == Stage::Applying);
    }
    SECTION("a person restarts it") {
        node.containerd.process = node.units.unit->mainPid = 2;
        node.start();
        CHECK_FALSE(has(node.pass(), "RestartFailed"));
        CHECK(node.stage() == Stage::None);
    }
    SECTION("it does not come up") {
        const auto before = node.root.read("config.toml");
        SECTION("for a person stopped it") {
            node.end("inactive");
            (void)node.pass();
            CHECK(node.stage() == Stage::Applying);
            CHECK(node.root.read("config.toml") == before);
        }
        SECTION("for it fails") {
            node.end("failed");
            node.units.result = "done";
            (void)node.pass();
            CHECK(node.stage() == Stage::RolledBack);
            CHECK_THAT(node.root.read("config.toml"), Catch::Contains("old.example"));
            CHECK(node.units.restarts.size() == 2);
        }
    }
    CHECK(node.units.restarts.size() <= 2);
}

namespace {

/// An edit of a file, proven by a containerd that is waited for no longer than a moment.
struct ProvenEdit : Node {
    const std::string path = root.write("config.toml", "before");
    const Service service{"containerd.service", true};
    Restarter restarter{units, state};
    std::vector<Reason> reasons;

    ConfigKeeper keeper() {
        ConfigKeeper out(io, containerd, restarter, state, std::chrono::milliseconds(10));
        REQUIRE(out.start());
        return out;
    }
    ConfigPlan plan() const {
        ConfigFileEdit edit;
        edit.path = path;
        edit.before = "before";
        edit.after = "after";
        edit.existed = true;
        ConfigPlan out;
        out.edits.push_back(edit);
        out.fingerprint = "of this edit";
        return out;
    }
    ConfigEditRecord::Stage stage() const { return state.loadConfigEdit()->stage; }
};

}  // namespace

TEST_CASE("a CRI that takes its time says nothing against an edit") {
    using Stage = ConfigEditRecord::Stage;
    using Runs = ConfigKeeper::Runs;
    ProvenEdit edit;
    ConfigKeeper keeper = edit.keeper();
    edit.containerd.slow = true;
    (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
    CHECK(edit.stage() == Stage::Applying);
    CHECK(edit.root.read("config.toml") == "after");
    (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
    CHECK(edit.stage() == Stage::Applying);
    SECTION("it is ready in the end") {
        edit.containerd.slow = false;
        (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
        CHECK(edit.stage() == Stage::None);
        CHECK(edit.units.restarts.size() == 1);
    }
    SECTION("it does not load") {
        edit.containerd.refuses = true;
        edit.units.onRestart = [&] { edit.containerd.refuses = edit.containerd.slow = false; };
        (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
        CHECK(edit.stage() == Stage::RolledBack);
        CHECK(edit.root.read("config.toml") == "before");
        CHECK(edit.units.restarts.size() == 2);
    }
}

TEST_CASE("a crash before the files were put back leaves nothing undone") {
    using Stage = ConfigEditRecord::Stage;
    ProvenEdit edit;
    ConfigKeeper first = edit.keeper();
    edit.containerd.slow = true;
    (void)finish(edit.io, first.apply(edit.plan(), edit.service, &edit.reasons));
    auto record = *edit.state.loadConfigEdit();
    record.stage = Stage::RolledBack;
    record.restartOwed = true;
    REQUIRE(edit.state.saveConfigEdit(record));
    edit.containerd.slow = false;
    edit.units.unit->activeState = "failed";
    finish(edit.io, edit.restarter.observe(edit.service.unit));
    ConfigKeeper second = edit.keeper();
    (void)finish(edit.io, second.resume(edit.service, ConfigKeeper::Runs::Nothing, &edit.reasons));
    CHECK(edit.root.read("config.toml") == "before");
    CHECK(edit.units.restarts.size() == 2);
    CHECK(edit.stage() == Stage::RolledBack);
    CHECK_FALSE(edit.state.loadConfigEdit()->restartOwed);
}

TEST_CASE("a containerd that reads another file is restarted for this one once at most") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    node.containerd.livePath = "";
    node.units.onRestart = [&] {
        node.containerd.process = ++node.units.unit->mainPid;
        node.start();
    };
    SECTION("it is older than the file") {
        node.units.unit->started -= std::chrono::hours(1);
        node.units.unit->startedWall -= std::chrono::hours(1);
        (void)node.pass();
    }
    SECTION("the clock was set, so that nothing can be told") {
        node.units.unit->startedWall += std::chrono::hours(1);
        (void)node.pass();
    }
    SECTION("it is not") {}
    const size_t restarts = node.units.restarts.size();
    CHECK(has(node.pass(), "ConfigNotUsed"));
    CHECK(node.units.restarts.size() == restarts);
    CHECK(restarts <= 1);
}

TEST_CASE("a containerd whose configuration is seen to change is older than it") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    node.containerd.livePath = "/other";
    const std::string other = node.root.write("other.toml", "version = 2\n");
    std::filesystem::remove(node.paths.containerdConfig);
    std::filesystem::create_symlink(other, node.paths.containerdConfig);
    node.root.write("good.toml", node.config);
    node.start();
    node.units.onRestart = [&] {
        node.containerd.process = ++node.units.unit->mainPid;
        node.containerd.livePath = node.paths.certsDir;
        node.start();
    };
    auto check = std::make_shared<Desired>(*desire({"docker.io"}));
    check->configPath = ConfigPathPolicy::Check;  // somebody else edits it
    node.keeper->setDesired(check);
    (void)node.pass();
    // A link above it leads to a file now that is older than the process.
    std::filesystem::rename(node.root / "good.toml", other);
    node.keeper->setDesired(desire({"docker.io"}));
    CHECK_FALSE(has(node.pass(), "ConfigNotUsed"));
    CHECK(node.units.restarts.size() == 1);
}

TEST_CASE("a preview does not take back what a pass found") {
    Node node;
    NodeKeeper::Paths paths;
    paths.containerdConfig = node.root / "config.toml";
    paths.certsDir = node.root / "certs.d";
    node.root.write("config.toml",
                    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
                    "  config_path = \"" +
                        paths.certsDir + "\"\n");
    NodeKeeper keeper(node.io, node.containerd, node.units, node.state, paths);
    REQUIRE(keeper.start());
    auto desired = std::make_shared<Desired>(*desire({"docker.io"}));
    desired->images = {"docker.io/library/x:1"};
    node.containerd.pullError = "no such host";
    keeper.setDesired(desired);
    finish(node.io, keeper.settle(std::chrono::steady_clock::now()));
    const auto codes = [&] {
        std::vector<std::string> out;
        for (const auto& reason : keeper.view().reasons) out.push_back(reason.code);
        return out;
    };
    const auto before = codes();
    REQUIRE(std::count(before.begin(), before.end(), "ImageMissing") == 1);
    const auto planned = finish(node.io, keeper.preview());
    CHECK(codes() == before);
    CHECK(std::any_of(planned.begin(), planned.end(), [](const PlannedChange& change) {
        return change.subject == "pull docker.io/library/x:1";
    }));
}

TEST_CASE("whether a process is older than a file is unknown where the clock was set") {
    const TemporaryDirectory root;
    const std::string file = root.write("config.toml", "x");
    const Now now{std::chrono::steady_clock::now(), std::chrono::system_clock::now()};
    const auto after = [&](std::chrono::seconds steady, std::chrono::seconds wall) {
        return files::startedAfter(Now{now.steady + steady, now.wall + wall}, "/nonexistent",
                                   {file});
    };
    using std::chrono::seconds;
    CHECK_FALSE(after(seconds(-10), seconds(-10)).value());
    CHECK(after(seconds(1), seconds(1)).value());
    CHECK(after(seconds(-10), seconds(3600)).isUnknown());  // set back since
    CHECK(after(seconds(1), seconds(-3600)).isUnknown());   // set forward since
    const std::string socket = root.write("sock", "");
    using std::filesystem::last_write_time;
    while (last_write_time(socket) <= last_write_time(file))
        root.write("sock", "x");  // until the clock of the file system has gone on
    const auto seen = files::startedAfter(std::nullopt, socket, {file});
    CHECK(seen.why().empty());
    CHECK(seen.value());
    CHECK(files::startedAfter(std::nullopt, "/nonexistent", {file}).isUnknown());
}
