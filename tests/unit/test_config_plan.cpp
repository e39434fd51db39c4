#include "plan/config_plan.hpp"
#include "plan/config_settling.hpp"
#include "plan/edit_resumption.hpp"
#include "support/temporary_directory.hpp"
#include "unit/config_samples.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

Desired oneRegistry() {
    Desired desired;
    desired.registries.resize(1);
    desired.registries[0].name = "docker.io";
    return desired;
}

ObservedNode nodeWith(const std::string& text, const ContainerdVersion& version,
                      const TemporaryDirectory& directory) {
    ObservedNode node;
    node.version = Seen<ContainerdVersion>::known(version);
    node.config =
        Seen<ContainerdConfig>::known(readConfig(directory.write("config.toml", text), version));
    return node;
}

ConfigSurroundings around() {
    ConfigSurroundings out;
    out.certsDir = kCerts;
    out.covered = {"docker.io"};
    return out;
}

}  // namespace

TEST_CASE("what is planned for containerd's configuration") {
    const TemporaryDirectory directory;
    const std::string table = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry";
    Desired desired = oneRegistry();
    SECTION("it is right already") {
        const auto node = nodeWith(table + "]\nconfig_path = \"" + kCerts + "\"\n", k17, directory);
        const auto plan = planConfig(desired, node, around());
        CHECK(plan.edits.empty());
        CHECK_FALSE(plan.restart);
        CHECK(plan.reasons.empty());
    }
    SECTION("it is right on disk, and the running one is older") {
        auto node = nodeWith(table + "]\nconfig_path = \"" + kCerts + "\"\n", k17, directory);
        CriState cri;
        cri.ready = true;
        cri.live = Seen<LiveCriConfig>::known(LiveCriConfig());
        node.cri = Seen<CriState>::known(cri);
        CHECK(planConfig(desired, node, around()).restart);
        // One that was started after it reads another file: a restart would not change that.
        node.runsConfig = Seen<bool>::known(true);
        const auto plan = planConfig(desired, node, around());
        CHECK_FALSE(plan.restart);
        REQUIRE(plan.reasons.size() == 1);
        CHECK(plan.reasons[0].code == "ConfigNotUsed");
    }
    SECTION("it is not set, and the edit makes it so") {
        const auto node = nodeWith("version = 2\n", k17, directory);
        const auto plan = planConfig(desired, node, around());
        REQUIRE(plan.edits.size() == 1);
        const auto after = nodeWith(plan.edits[0].after, k17, directory);
        CHECK(planConfig(desired, after, around()).edits.empty());
        auto rolledBack = around();
        rolledBack.rolledBack = plan.fingerprint;
        rolledBack.rolledBackError = "boom";
        const auto node2 = nodeWith("version = 2\n", k17, directory);
        const auto again = planConfig(desired, node2, rolledBack);
        CHECK(again.edits.empty());
        REQUIRE(again.reasons.size() == 1);
        CHECK(again.reasons[0].code == "ConfigRolledBack");
        CHECK_THAT(again.reasons[0].message, Catch::Contains("boom"));
    }
    SECTION("a list of paths on 2.1 is made one") {
        const auto node =
            nodeWith(table + "]\nconfig_path = \"" + kCerts + ":/x\"\n", k21, directory);
        const auto plan = planConfig(desired, node, around());
        REQUIRE(plan.edits.size() == 1);
        CHECK_THAT(plan.edits[0].after, Catch::Contains("config_path = \"" + kCerts + "\""));
    }
    SECTION("and is left where CRI pulls by itself") {
        const auto node = nodeWith(table + "]\nconfig_path = \"" + kCerts +
                                       ":/x\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\n"
                                       "max_concurrent_downloads = 8\n",
                                   k21, directory);
        CHECK(planConfig(desired, node, around()).edits.empty());
    }
    SECTION("legacy mirrors that nothing covers stop it") {
        const auto node =
            nodeWith(table + ".mirrors.\"quay.io\"]\nendpoint = [\"https://u:p@q.example\"]\n", k17,
                     directory);
        const auto plan = planConfig(desired, node, around());
        CHECK(plan.edits.empty());
        REQUIRE(plan.reasons.size() == 1);
        CHECK(plan.reasons[0].code == "LegacyMirrors");
        CHECK_THAT(plan.reasons[0].message, Catch::Contains("q.example"));
        CHECK_THAT(plan.reasons[0].message, !Catch::Contains("u:p"));
    }
    SECTION("legacy TLS settings that would be lost stop it") {
        const auto node = nodeWith(
            table + ".configs.\"harbor.local\".tls]\nca_file = \"/ca.pem\"\n", k17, directory);
        const auto codesOf = [&](const ConfigSurroundings& surroundings) {
            std::vector<std::string> out;
            const auto plan = planConfig(desired, node, surroundings);
            for (const auto& reason : plan.reasons) out.push_back(reason.code);
            CHECK(plan.edits.empty() == !out.empty());
            return out;
        };
        const std::vector<std::string> lost{"LegacyTls"};
        CHECK(codesOf(around()) == lost);
        auto ofUser = around();
        ofUser.covered.insert("harbor.local");
        CHECK(codesOf(ofUser).empty());
        Mirror mirror;
        mirror.url = Url{"https", "harbor.local", ""};
        desired.registries[0].mirrors.push_back(mirror);
        CHECK(codesOf(around()) == lost);
        desired.registries[0].mirrors.back().ca = {"/ca.pem"};
        CHECK(codesOf(around()).empty());
        // Declared itself, with the upstream as the last resort and no TLS of its own there.
        desired.registries[0].mirrors.pop_back();
        Registry harbor;
        harbor.name = "harbor.local";
        desired.registries.push_back(harbor);
        CHECK(codesOf(ofUser) == lost);
        desired.registries[1].fallback = Fallback::None;
        CHECK(codesOf(ofUser).empty());
    }
    SECTION("hosts under another config_path that cannot be looked into stop it") {
        auto other = around();
        other.elsewhereUnknown = "cannot list /else: Permission denied";
        const auto node = nodeWith(table + "]\nconfig_path = \"/else\"\n", k17, directory);
        const auto plan = planConfig(desired, node, other);
        CHECK(plan.edits.empty());
        REQUIRE(plan.reasons.size() == 1);
        CHECK_THAT(plan.reasons[0].message, Catch::Contains("Permission denied"));
    }
    SECTION("hosts under another config_path stop it too") {
        auto other = around();
        other.elsewhere = {"quay.io", "docker.io"};
        const auto node = nodeWith(table + "]\nconfig_path = \"/else\"\n", k17, directory);
        const auto plan = planConfig(desired, node, other);
        CHECK(plan.edits.empty());
        REQUIRE(plan.reasons.size() == 1);
        CHECK(plan.reasons[0].subject == "quay.io");
    }
    SECTION("no edit is made while CRI is refused for something else") {
        auto node = nodeWith("version = 2\n", k17, directory);
        CriState cri;
        cri.refused = true;
        cri.error = "no snapshotter";
        node.cri = Seen<CriState>::known(cri);
        const auto plan = planConfig(desired, node, around());
        CHECK(plan.edits.empty());
        REQUIRE(plan.reasons.size() == 1);
        CHECK_THAT(plan.reasons[0].message, Catch::Contains("no snapshotter"));
        // That of legacy tables beside config_path is mended by the edit.
        const std::string legacy = table + "]\nconfig_path = \"" + kCerts + "\"\n" + table +
                                   ".mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n";
        auto conflict = nodeWith(legacy, k17, directory);
        conflict.cri = node.cri;
        CHECK_FALSE(planConfig(desired, conflict, around()).edits.empty());
    }
    SECTION("nothing is edited on a policy of check, or when something is unknown") {
        const auto node = nodeWith("version = 2\n", k17, directory);
        desired.configPath = ConfigPathPolicy::Check;
        CHECK(planConfig(desired, node, around()).edits.empty());
        desired.configPath = ConfigPathPolicy::Ignore;
        CHECK(planConfig(desired, node, around()).reasons.empty());
        desired.configPath = ConfigPathPolicy::Manage;
        auto unknown = node;
        unknown.version = Seen<ContainerdVersion>::unknown("down");
        CHECK(planConfig(desired, unknown, around()).edits.empty());
        unknown = node;
        unknown.config = Seen<ContainerdConfig>::unknown("EACCES");
        CHECK(planConfig(desired, unknown, around()).edits.empty());
    }
}

TEST_CASE("a configuration that somebody sets up is left alone until it has settled") {
    using std::chrono::seconds;
    const TemporaryDirectory directory;
    const auto config = [&](const std::string& text) {
        return nodeWith(text, k17, directory).config;
    };
    const auto unreadable = Seen<ContainerdConfig>::unknown("open for writing");
    const SteadyTime start{std::chrono::hours(1)};
    ConfigSettling settling(seconds(5));
    settling.look(config("version = 2\n"), start);
    REQUIRE_FALSE(settling.heldUntil(start));
    SECTION("what does not change holds up nothing") {
        settling.look(config("version = 2\n"), start + seconds(1));
        CHECK_FALSE(settling.heldUntil(start + seconds(1)));
    }
    SECTION("from its last change on") {
        settling.look(config("version = 2\n# one\n"), start + seconds(10));
        CHECK(settling.heldUntil(start + seconds(10)) == start + seconds(15));
        settling.look(config("version = 2\n# two\n"), start + seconds(13));
        CHECK(settling.heldUntil(start + seconds(15)) == start + seconds(18));
        CHECK_FALSE(settling.heldUntil(start + seconds(18)));
    }
    SECTION("what was written from here is no unrest") {
        settling.expectOwn();
        settling.look(config("version = 2\n# ours\n"), start + seconds(10));
        CHECK_FALSE(settling.heldUntil(start + seconds(10)));
    }
    SECTION("while it cannot be read too") {
        settling.look(unreadable, start + seconds(10));
        settling.look(config("version = 2\n"), start + seconds(12));
        CHECK(settling.heldUntil(start + seconds(16)) == start + seconds(17));
    }
    SECTION("but not for ever where it never settles") {
        for (int i = 1; i <= 61; ++i)
            settling.look(config("version = 2\n# " + std::to_string(i) + "\n"), start + seconds(i));
        CHECK(settling.heldUntil(start + seconds(60)) == start + seconds(61));
        CHECK_FALSE(settling.heldUntil(start + seconds(61)));
    }
}

TEST_CASE("how an edit goes on depends on what runs, and on who stopped it") {
    using Stage = ConfigEditRecord::Stage;
    using Runs = ContainerdRuns;
    const auto step = [](Stage stage, bool owed, Runs runs, const std::string& state) {
        ConfigEditRecord record;
        record.stage = stage;
        record.restartOwed = owed;
        ObservedUnit unit;
        unit.activeState = state;
        const auto seen = state.empty() ? Seen<ObservedUnit>::unknown("D-Bus is away")
                                        : Seen<ObservedUnit>::known(unit);
        return planResumption(record, runs, seen);
    };
    for (const Runs runs : {Runs::Nothing, Runs::Older, Runs::Configured})
        for (const std::string state : {"active", "activating", "inactive", "failed", ""}) {
            CAPTURE(state);
            CHECK(step(Stage::None, false, runs, state) == EditStep::Nothing);
            CHECK(step(Stage::RolledBack, false, runs, state) == EditStep::Nothing);
        }
    for (const std::string state : {"active", "activating", "inactive", "failed", ""}) {
        CAPTURE(state);
        CHECK(step(Stage::RolledBack, true, Runs::Older, state) == EditStep::RestartOwed);
        CHECK(step(Stage::RolledBack, true, Runs::Configured, state) == EditStep::NoteRestarted);
        CHECK(step(Stage::Applying, false, Runs::Older, state) == EditStep::Prove);
        CHECK(step(Stage::Applying, false, Runs::Configured, state) == EditStep::Judge);
    }
    // One that does not answer.
    CHECK(step(Stage::RolledBack, true, Runs::Nothing, "failed") == EditStep::RestartOwed);
    CHECK(step(Stage::RolledBack, true, Runs::Nothing, "inactive") == EditStep::Nothing);
    CHECK(step(Stage::RolledBack, true, Runs::Nothing, "") == EditStep::Nothing);
    CHECK(step(Stage::Applying, false, Runs::Nothing, "failed") == EditStep::TakeBack);
    CHECK(step(Stage::Applying, false, Runs::Nothing, "activating") == EditStep::Judge);
    CHECK(step(Stage::Applying, false, Runs::Nothing, "active") == EditStep::Judge);
    CHECK(step(Stage::Applying, false, Runs::Nothing, "inactive") == EditStep::Nothing);
    CHECK(step(Stage::Applying, false, Runs::Nothing, "") == EditStep::Nothing);
}
