/// Edits of containerd's configuration, and how they are proven.
#include "files/file_age.hpp"
#include "support/running_node.hpp"

using namespace nodemirror;

namespace {

/// An edit of a file, proven by a containerd that is waited for no longer than a moment.
struct ProvenEdit : Node {
    const std::string path = root.write("config.toml", "before");
    const Service service{"containerd.service", true};
    Restarter restarter{units, state};
    LoadedConfig loaded{state, root / "containerd.sock", root / "certs.d"};
    std::vector<Reason> reasons;

    ConfigKeeper keeper() {
        const auto readConfig = [] { return Result<ContainerdConfig>(ContainerdConfig()); };
        ConfigKeeper out(io, containerd, restarter, state, loaded, readConfig,
                         std::chrono::milliseconds(10));
        out.start();
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
    using Runs = ContainerdRuns;
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

TEST_CASE("what cannot be asked says nothing against an edit") {
    using Stage = ConfigEditRecord::Stage;
    using Runs = ContainerdRuns;
    ProvenEdit edit;
    ConfigKeeper keeper = edit.keeper();
    SECTION("a restart whose end is not heard of") {
        edit.units.result = "the client is stopping";
        edit.units.unit->activeState = "activating";
        (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
        CHECK(edit.stage() == Stage::Applying);
        CHECK(edit.root.read("config.toml") == "after");
        CHECK(edit.units.restarts.size() == 1);
    }
    SECTION("a containerd that is away") {
        edit.containerd.away = true;
        edit.units.unit->activeState = "active";
        (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
        CHECK(edit.stage() == Stage::Applying);
        // What is seen before CRI is waited for, and after it.
        const auto stageWith = [&](const std::string& state, int before, int after) {
            edit.units.unit->activeState = state;
            edit.units.unit->startedAgain = before;
            finish(edit.io, edit.restarter.observe(edit.service.unit));
            edit.units.unit->startedAgain = after;
            (void)finish(edit.io, keeper.resume(edit.service, Runs::Nothing, &edit.reasons));
            return edit.stage();
        };
        CHECK(stageWith("active", 0, 0) == Stage::Applying);
        CHECK(stageWith("active", 7, 0) == Stage::Applying);  // a person restarted it
        CHECK(stageWith("inactive", 0, 0) == Stage::Applying);
        CHECK(stageWith("activating", 0, 0) == Stage::Applying);
        CHECK(edit.root.read("config.toml") == "after");
        SECTION("and is started again and again") {
            CHECK(stageWith(GENERATE("activating", "active"), 7, 8) == Stage::RolledBack);
        }
        SECTION("and waits to be started again") {
            edit.units.unit->startsAgain = true;
            CHECK(stageWith("activating", 0, 0) == Stage::RolledBack);
        }
        SECTION("and gave up") { CHECK(stageWith("failed", 0, 0) == Stage::RolledBack); }
        SECTION("and answers again: whether it has read the edit is another pass's to tell") {
            edit.containerd.away = false;
            edit.containerd.refuses = GENERATE(false, true);
            CHECK(stageWith("active", 0, 0) == Stage::Applying);
        }
    }
}

TEST_CASE("a restart that leaves the same containerd proves nothing, and is not made again") {
    using Stage = ConfigEditRecord::Stage;
    ProvenEdit edit;
    edit.units.serves = nullptr;  // the unit is of another containerd
    ConfigKeeper keeper = edit.keeper();
    CHECK_FALSE(finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons)));
    CHECK(edit.stage() == Stage::Applying);
    CHECK(edit.root.read("config.toml") == "after");
    REQUIRE(edit.reasons.size() == 1);
    CHECK(edit.reasons[0].code == "RestartNeeded");
    CHECK_THAT(edit.reasons[0].message, Catch::Contains("process 100"));
    ConfigPlan alone;
    alone.restart = true;
    edit.reasons.clear();
    CHECK_FALSE(finish(edit.io, keeper.apply(alone, edit.service, &edit.reasons)));
    CHECK(edit.reasons.size() == 1);
    CHECK(edit.units.restarts.size() == 1);
    // Its unit is named now.
    const Service other{"k3s.service", true};
    edit.units.onRestart = [&] { ++edit.containerd.process; };
    CHECK(finish(edit.io, keeper.apply(alone, other, &edit.reasons)));
    CHECK(edit.units.restarts.back() == "k3s.service");
}

TEST_CASE("a rollback is owed its restart by the containerd that has read the edit") {
    ProvenEdit edit;
    edit.units.serves = nullptr;
    ConfigKeeper keeper = edit.keeper();
    edit.units.result = "no reply";
    (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
    edit.units.result = "done";
    edit.containerd.refuses = true;
    edit.reasons.clear();
    (void)finish(edit.io, keeper.resume(edit.service, ContainerdRuns::Configured, &edit.reasons));
    CHECK(edit.root.read("config.toml") == "before");
    CHECK(edit.state.loadConfigEdit()->restartOwed);
    REQUIRE(edit.reasons.size() == 1);
    CHECK(edit.reasons[0].code == "RestartNeeded");
}

TEST_CASE("an edit that could not be begun forgets no earlier rollback") {
    ProvenEdit edit;
    ConfigEditRecord record;
    record.stage = ConfigEditRecord::Stage::RolledBack;
    record.fingerprint = "of the bad edit";
    REQUIRE(edit.state.saveConfigEdit(record));
    ConfigKeeper keeper = edit.keeper();
    std::filesystem::remove_all(edit.state.path() + "/backups");
    edit.root.write("state/backups", "in the way");
    CHECK_FALSE(finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons)));
    REQUIRE(edit.reasons.size() == 1);
    CHECK(edit.reasons[0].code == "ConfigNotWritten");
    CHECK(keeper.record().fingerprint == "of the bad edit");
    CHECK(edit.state.loadConfigEdit()->fingerprint == "of the bad edit");
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
    (void)finish(edit.io, second.resume(edit.service, ContainerdRuns::Nothing, &edit.reasons));
    CHECK(edit.root.read("config.toml") == "before");
    CHECK(edit.units.restarts.size() == 2);
    CHECK(edit.stage() == Stage::RolledBack);
    CHECK_FALSE(edit.state.loadConfigEdit()->restartOwed);
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

TEST_CASE("an edit is not blamed for what is no better without it") {
    using Stage = ConfigEditRecord::Stage;
    ProvenEdit edit;
    ConfigKeeper keeper = edit.keeper();
    SECTION("containerd starts with neither, and systemd tries again and again") {
        edit.units.result = "failed";
        edit.units.onRestart = [&] {
            edit.units.unit->activeState = "activating";
            edit.units.unit->startsAgain = true;
            edit.containerd.process = 0;
            edit.containerd.away = true;
        };
        (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
        CHECK(keeper.record().fingerprint.empty());
        CHECK(keeper.record().restartOwed);
    }
    SECTION("somebody broke the file meanwhile") {
        edit.units.onRestart = [&] {
            if (edit.units.restarts.size() > 1) return;
            edit.containerd.refuses = true;
            edit.root.write("config.toml", "broken");
        };
        (void)finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons));
        edit.containerd.refuses = false;
        CHECK(keeper.record().fingerprint.empty());
        CHECK(edit.root.read("config.toml") == "broken");
    }
    CHECK(edit.stage() == Stage::RolledBack);
}

TEST_CASE("half of an edit is not put back where the edit cannot be made anew") {
    using Stage = ConfigEditRecord::Stage;
    using Runs = ContainerdRuns;
    ProvenEdit edit;
    ConfigKeeper keeper = edit.keeper();
    auto plan = edit.plan();
    ConfigFileEdit second = plan.edits.front();
    second.path = edit.root.write("import.toml", "before");
    plan.edits.push_back(second);
    edit.containerd.slow = true;
    Desired desired;
    desired.budget.restarts = 2;
    edit.restarter.setDesired(desired);
    (void)finish(edit.io, keeper.apply(plan, edit.service, &edit.reasons));
    REQUIRE(edit.stage() == Stage::Applying);
    edit.root.write("import.toml", "somebody's");
    (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons, false));
    CHECK(edit.reasons.empty());
    CHECK(edit.stage() == Stage::Applying);
    (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
    CHECK(edit.root.read("config.toml") == "after");
    CHECK(edit.stage() == Stage::Applying);
    REQUIRE_FALSE(edit.reasons.empty());
    CHECK(edit.reasons.back().code == "RestartBudget");
    SECTION("nothing of it is left") {
        edit.root.write("config.toml", "somebody's too");
        (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
        CHECK(edit.stage() == Stage::None);
        return;
    }
    desired.budget.restarts = 10;
    edit.restarter.setDesired(desired);
    (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
    CHECK(edit.root.read("config.toml") == "before");
    CHECK(edit.root.read("import.toml") == "somebody's");
    CHECK(edit.stage() == Stage::None);
}

TEST_CASE("a record of an edit that can be read again is") {
    using Stage = ConfigEditRecord::Stage;
    using Runs = ContainerdRuns;
    ProvenEdit edit;
    ConfigEditRecord record;
    record.stage = Stage::RolledBack;
    record.fingerprint = "of the bad edit";
    REQUIRE(edit.state.saveConfigEdit(record));
    const std::string sound = edit.root.read("state/config-edit.json");
    edit.root.write("state/config-edit.json", "damaged");
    ConfigKeeper keeper = edit.keeper();
    CHECK_FALSE(finish(edit.io, keeper.apply(edit.plan(), edit.service, &edit.reasons)));
    REQUIRE(edit.reasons.size() == 1);
    CHECK(edit.reasons[0].code == "StateUnreadable");
    edit.root.write("state/config-edit.json", sound);
    (void)finish(edit.io, keeper.resume(edit.service, Runs::Configured, &edit.reasons));
    CHECK(keeper.record().fingerprint == "of the bad edit");
}
