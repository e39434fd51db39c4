/// Whole passes of the keeper of a node.
#include "base/digest.hpp"
#include "support/running_node.hpp"

using namespace nodemirror;

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
        // Nor does it start without the edit, which is made again once something else was mended.
        CHECK(node.state.loadConfigEdit()->fingerprint.empty());
        int process = 300;
        const auto comesUp = [&] {
            node.units.result = "done";
            node.containerd.process = node.units.unit->mainPid = ++process;
            node.units.unit->activeState = "active";
            node.start();
        };
        node.units.onRestart = comesUp;
        auto more = std::make_shared<Desired>(*desire({"docker.io"}));
        more->budget.restarts = 10;
        node.keeper->setDesired(more);
        comesUp();
        (void)node.pass();
        (void)node.pass();
        CHECK(node.stage() == Stage::None);
        CHECK_THAT(node.root.read("config.toml"), !Catch::Contains("old.example"));
    }
    SECTION("it fails, and starts without it") {
        bool first = true;
        node.units.onRestart = [&] {
            if (std::exchange(first, false)) {
                node.end("failed");
                return;
            }
            node.units.result = "done";
            node.containerd.process = node.units.unit->mainPid = 200;
            node.units.unit->activeState = "active";
            node.start();
        };
        (void)node.pass();
        (void)node.pass();
        CHECK(node.stage() == Stage::RolledBack);
        CHECK_FALSE(node.state.loadConfigEdit()->fingerprint.empty());
        CHECK_THAT(node.root.read("config.toml"), Catch::Contains("old.example"));
    }
    SECTION("a person stops it meanwhile, and starts it later") {
        node.units.onRestart = [&] { node.end("inactive"); };
        (void)node.pass();
        CHECK(node.stage() == Stage::Applying);
        CHECK_THAT(node.root.read("config.toml"), !Catch::Contains("old.example"));
        node.containerd.process = node.units.unit->mainPid = 200;
        node.units.unit->activeState = "active";
        node.start();
        (void)node.pass();
        CHECK(node.stage() == Stage::None);
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("an edit that is made again does not restart what was started with it") {
    EditedNode node;
    const std::string undone = node.root.read("config.toml");
    node.units.result = "done";
    int process = 300;
    node.units.onRestart = [&] {
        node.containerd.process = node.units.unit->mainPid = ++process;
        node.start();
    };
    (void)node.pass();
    REQUIRE(node.stage() == ConfigEditRecord::Stage::None);
    REQUIRE(node.units.restarts.size() == 1);
    const std::string edited = node.root.read("config.toml");
    REQUIRE(edited != undone);
    // Configuration management puts its text back, and restarts nothing.
    node.root.write("config.toml", undone);
    (void)node.pass();
    CHECK(node.root.read("config.toml") == edited);
    CHECK(node.stage() == ConfigEditRecord::Stage::None);
    CHECK(node.units.restarts.size() == 1);
    // Now it restarts containerd too, which then has the other text.
    node.root.write("config.toml", undone);
    node.containerd.process = node.units.unit->mainPid = ++process;
    node.start();
    (void)node.pass();
    CHECK(node.root.read("config.toml") == edited);
    CHECK(node.units.restarts.size() == 2);
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
        node.containerd.process = node.units.unit->mainPid = 200;
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

TEST_CASE("half an edit that was put back is made anew from what is there then") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    const std::string extra = node.root / "extra.toml";
    const std::string registry = "[plugins.\"io.containerd.grpc.v1.cri\".registry";
    const std::string mirrors = "version = 2\n" + registry +
                                ".mirrors.\"docker.io\"]\n  endpoint = [\"https://old.example\"]\n";
    const std::string main = "version = 2\nimports = [\"" + extra + "\"]\n";
    const std::string edited =
        main + registry + "]\n  config_path = \"" + node.paths.certsDir + "\"\n";
    node.containerd.versionText = "2.1.0";  // where imports are merged
    // A crash came after the first of two files.
    node.root.write("config.toml", edited);
    node.root.write("extra.toml", mirrors);
    ConfigEditRecord record;
    record.stage = ConfigEditRecord::Stage::Applying;
    record.files.push_back({node.paths.containerdConfig, true, "one", sha256Hex(edited)});
    record.files.push_back({extra, true, "two", sha256Hex("version = 2\n")});
    REQUIRE(node.state.storeBackup("one", main));
    REQUIRE(node.state.storeBackup("two", mirrors));
    REQUIRE(node.state.saveConfigEdit(record));
    node.keeper->start();
    (void)node.pass();
    CHECK_THAT(node.root.read("config.toml"), Catch::Contains(node.paths.certsDir));
    CHECK_THAT(node.root.read("extra.toml"), !Catch::Contains("old.example"));
    CHECK(node.units.restarts == std::vector<std::string>{"containerd.service"});
    CHECK(node.state.loadConfigEdit()->stage == ConfigEditRecord::Stage::None);
}

TEST_CASE("a containerd that reads another file is restarted for this one once at most") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    node.containerd.livePath = "";
    node.units.onRestart = [&] { node.start(); };
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

TEST_CASE(
    "the view says whether it is of the desired state in force, and what is being restarted") {
    RunningNode node;
    node.containerd.bring("registry.k8s.io/pause:3.8");
    CHECK_FALSE(node.keeper->view().ofDesired);
    CHECK(node.pass().empty());
    CHECK(node.keeper->view().ofDesired);
    node.keeper->setDesired(desire({"docker.io", "quay.io"}));
    CHECK_FALSE(node.keeper->view().ofDesired);
    node.root.write("config.toml", "version = 2\n");
    std::vector<Reason> during;
    node.units.onRestart = [&] {
        if (during.empty()) during = node.keeper->view().reasons;
        // Of another desired state the pass that goes on knows nothing.
        node.keeper->setDesired(desire({"quay.io"}));
    };
    (void)node.pass();
    REQUIRE(during.size() == 1);
    CHECK(during.front().code == "Restarting");
    CHECK(during.front().subject == "containerd.service");
    CHECK_FALSE(node.keeper->view().ofDesired);
    node.units.onRestart = nullptr;
    CHECK_FALSE(has(node.pass(), "Restarting"));
    CHECK(node.keeper->view().ofDesired);
}

TEST_CASE("a preview looks for itself where no pass has looked yet") {
    RunningNode node;
    const auto changes = finish(node.io, node.keeper->preview());
    REQUIRE_FALSE(changes.empty());
    CHECK(changes.front().subject == "pull registry.k8s.io/pause:3.8");
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
    NodeKeeper keeper(node.io, node.containerd, node.units, node.state, paths, kNoQuiet);
    keeper.start();
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
