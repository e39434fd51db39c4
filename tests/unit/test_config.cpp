#include "containerd_config/config_edit.hpp"
#include "containerd_config/config_reader.hpp"
#include "plan/config_plan.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

constexpr ContainerdVersion k16{1, 6, 20};
constexpr ContainerdVersion k17{1, 7, 24};
constexpr ContainerdVersion k21{2, 1, 9};
const std::string kCerts = "/etc/containerd/certs.d";
const std::vector<std::string> kTable{"plugins", "io.containerd.grpc.v1.cri", "registry"};

ContainerdConfig read(const std::string& path, const ContainerdVersion& version) {
    auto config = readContainerdConfig(path, version);
    REQUIRE(config);
    return std::move(*config);
}

}  // namespace

TEST_CASE("versions as containerd says them") {
    CHECK(parseContainerdVersion("1.6.20~ds1") == k16);
    CHECK(parseContainerdVersion("v2.1.9+unknown") == k21);
    CHECK(parseContainerdVersion("2.1") == ContainerdVersion{2, 1, 0});
    CHECK_FALSE(parseContainerdVersion("latest"));
    CHECK_FALSE(parseContainerdVersion(""));
    CHECK(k16.defaultSandboxImage() == "registry.k8s.io/pause:3.6");
    CHECK(k17.defaultSandboxImage() == "registry.k8s.io/pause:3.8");
    CHECK(k21.defaultSandboxImage() == "registry.k8s.io/pause:3.10");
}

TEST_CASE("config_path is set in every form of the table, and nothing else changes") {
    struct Case {
        std::string before, after;
    };
    const std::string line = "config_path = \"/c\"";
    const std::vector<Case> cases{
        {"", "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  " + line + "\n"},
        {"version = 2\n# end",
         "version = 2\n# end\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  " + line +
             "\n"},
        {"[plugins.\"io.containerd.grpc.v1.cri\".registry] # here\n  x = 1\n",
         "[plugins.\"io.containerd.grpc.v1.cri\".registry] # here\n  " + line + "\n  x = 1\n"},
        {"[plugins.'io.containerd.grpc.v1.cri'.registry]\n\tconfig_path = ''\t# unset\n",
         "[plugins.'io.containerd.grpc.v1.cri'.registry]\n\tconfig_path = \"/c\"\t# unset\n"},
        {"[plugins.\"io.containerd.grpc.v1.cri\"]\n  registry.x = 1\n[other]\n",
         "[plugins.\"io.containerd.grpc.v1.cri\"]\n  registry.x = 1\n  registry." + line +
             "\n[other]\n"},
        {"[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = {}\n",
         "[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = { " + line + " }\n"},
        {"[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = { x = 1 }\n",
         "[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = { " + line + ", x = 1 }\n"},
        {"[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.a.auth]\r\n  x = 1\r\n",
         "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.a.auth]\r\n  x = 1\r\n\r\n"
         "[plugins.\"io.containerd.grpc.v1.cri\".registry]\r\n  " +
             line + "\r\n"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.before);
        const auto after = setTomlString(each.before, kTable, "config_path", "/c");
        REQUIRE(after);
        CHECK(*after == each.after);
        // Setting it again changes nothing.
        CHECK(*setTomlString(*after, kTable, "config_path", "/c") == *after);
    }
}

TEST_CASE("what cannot be edited safely is an error that says what to write") {
    for (const std::string text :
         {"plugins = 1\n", "plugins = { \"io.containerd.grpc.v1.cri\" = { registry = {} } }\n",
          "[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = 1\n", "broken = [\n"}) {
        CAPTURE(text);
        const auto after = setTomlString(text, kTable, "config_path", "/c");
        REQUIRE_FALSE(after);
        CHECK_THAT(after.error().remedy(), Catch::Contains("config_path = \"/c\""));
    }
}

TEST_CASE("legacy tables are taken out and their comments stay") {
    const std::string before =
        "version = 2\n# about mirrors\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n"
        "  # inner\n  [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
        "    endpoint = [\"https://a\",\n      \"https://b\"] # both\n[next]\nx = 1\n";
    auto path = kTable;
    path.emplace_back("mirrors");
    const auto after = removeTomlPath(before, path);
    REQUIRE(after);
    CHECK(*after == "version = 2\n# about mirrors\n  # inner\n    # both\n[next]\nx = 1\n");
}

TEST_CASE("imports: on 1.x a later file's section replaces, on 2.x it is merged") {
    const TemporaryDirectory directory;
    const std::string cri = "[plugins.\"io.containerd.grpc.v1.cri\"";
    directory.write("conf.d/b.toml",
                    "version = 2\n" + cri + "]\n  sandbox_image = \"b/pause:1\"\n");
    directory.write("conf.d/a.toml", "version = 2\n");
    const std::string main =
        directory.write("config.toml", "version = 2\nimports = [\"conf.d/a.toml\", \"" +
                                           directory / "conf.d/b*.toml" + "\"]\n" + cri +
                                           ".registry]\n  config_path = \"/c\"\n");
    const auto v17 = read(main, k17);
    CHECK(v17.files.size() == 3);
    CHECK(v17.configPath.empty());
    CHECK(v17.sandboxImage == "b/pause:1");
    CHECK(v17.registryFile(k17)->path == directory / "conf.d/b.toml");
    const auto v21 = read(main, k21);
    CHECK(v21.configPath == "/c");
    CHECK(v21.sandboxImage == "b/pause:1");
    const auto edits = editConfigPath(v17, k17, kCerts);
    REQUIRE(edits);
    REQUIRE(edits->size() == 1);
    CHECK_THAT(edits->front().after,
               Catch::Contains("[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path"));
}

TEST_CASE("a configuration that is not there, and one that cannot be read") {
    const TemporaryDirectory directory;
    const std::string path = directory / "config.toml";
    const auto config = read(path, k21);
    CHECK_FALSE(config.exists);
    CHECK(config.sandboxImage == "registry.k8s.io/pause:3.10");
    const auto edits = editConfigPath(config, k21, kCerts);
    REQUIRE(edits);
    CHECK_FALSE(edits->front().existed);
    directory.write("config.toml", edits->front().after);
    CHECK(read(path, k21).configPath == kCerts);
    directory.write("config.toml", "a = [\n");
    CHECK_FALSE(readContainerdConfig(path, k21));
    directory.write("config.toml", "imports = [\"/nope.toml\"]\n");
    CHECK_FALSE(readContainerdConfig(path, k17));
}

TEST_CASE("from 2.3 on a registry under the plugin's old name takes the place of the new one") {
    const TemporaryDirectory directory;
    const ContainerdVersion k23{2, 3, 0};
    const std::string images = "[plugins.\"io.containerd.cri.v1.images\".registry]\n";
    const std::string cri = "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n";
    const std::string path = directory.write(
        "config.toml", "version = 3\n" + images + "config_path = \"" + kCerts + "\"\n" + cri);
    CHECK(read(path, k21).configPath == kCerts);
    const auto config = read(path, k23);
    CHECK(config.configPath.empty());
    const auto edits = editConfigPath(config, k23, kCerts);
    REQUIRE(edits);
    REQUIRE(edits->size() == 1);
    directory.write("config.toml", edits->front().after);
    CHECK(read(path, k23).configPath == kCerts);
    CHECK_THAT(edits->front().after, Catch::Contains(cri + "  config_path"));
    // Whichever file it is in; and not in a file of version 4.
    const std::string import = directory.write("import.toml", "version = 3\n" + cri);
    const std::string main =
        "imports = [\"" + import + "\"]\nversion = 3\n" + images + "config_path = \"/x\"\n";
    directory.write("config.toml", main);
    const auto imported = read(path, k23);
    CHECK(imported.configPath.empty());
    REQUIRE(imported.registryFile(k23) != nullptr);
    CHECK(imported.registryFile(k23)->path == import);
    directory.write("config.toml", "version = 4\n" + images + "config_path = \"/x\"\n" + cri);
    CHECK(read(path, k23).configPath == "/x");
}

TEST_CASE("imports are counted by what they are, and too many are an error") {
    const TemporaryDirectory directory;
    const std::string last =
        directory.write("z.toml", "version = 2\ndisabled_plugins = [\"cri\"]\n");
    for (int i = 0; i < 90; ++i)
        directory.write("conf.d/" + std::to_string(i) + ".toml", "version = 2\n");
    const auto with = [&](const std::string& imports) {
        return readContainerdConfig(
            directory.write("config.toml", "version = 2\nimports = [" + imports + "]\n"), k17);
    };
    const std::string all = "\"" + (directory / "conf.d/*.toml") + "\", ";
    const auto twice = with(all + all + "\"" + last + "\"");
    REQUIRE(twice);
    CHECK(twice->criDisabled);
    for (int i = 0; i < 40; ++i)
        directory.write("conf.d/more" + std::to_string(i) + ".toml", "version = 2\n");
    CHECK_FALSE(with(all + "\"" + last + "\""));
}

TEST_CASE("long texts are nobody's end") {
    CHECK_FALSE(parseContainerdVersion("1.7" + std::string(100'000, 'x')));
    const std::string text =
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = "
        "{ config_path = \"" +
        std::string(100'000, 'a') + "\" }\n";
    const auto edited = setTomlString(text, {"plugins", "io.containerd.grpc.v1.cri", "registry"},
                                      "config_path", kCerts);
    REQUIRE_FALSE(edited);
    CHECK_THAT(edited.error().remedy(), Catch::Contains("by hand"));
}

TEST_CASE("which config_path leads to certs.d") {
    CHECK(readsCertsDir(kCerts, false, kCerts));
    CHECK(readsCertsDir(kCerts + "/", false, kCerts));
    CHECK(readsCertsDir(kCerts + ":/etc/docker/certs.d", true, kCerts));
    CHECK_FALSE(readsCertsDir(kCerts + ":/etc/docker/certs.d", false, kCerts));
    CHECK_FALSE(readsCertsDir("/etc/docker/certs.d:" + kCerts, true, kCerts));
    CHECK_FALSE(readsCertsDir("", true, kCerts));
}

TEST_CASE("with which settings CRI pulls by itself, and takes a list of paths apart") {
    const TemporaryDirectory directory;
    const std::string images = "version = 3\n[plugins.\"io.containerd.cri.v1.images\"";
    const std::string cri = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"";
    const auto splits = [&](const std::string& text, const ContainerdVersion& version) {
        return read(directory.write("config.toml", text), version).splitsConfigPath(version);
    };
    CHECK(splits("version = 2\n", k17));
    CHECK(splits("version = 3\n", {2, 0, 5}));
    CHECK_FALSE(splits("version = 3\n", k21));
    CHECK(splits(images + "]\nuse_local_image_pull = true\n", k21));
    CHECK_FALSE(splits(images + "]\nuse_local_image_pull = false\n", k21));
    CHECK(splits(images + "]\nmax_concurrent_downloads = 4\n", k21));
    CHECK_FALSE(splits(images + "]\nmax_concurrent_downloads = 3\n", k21));
    CHECK(splits(images + "]\ndisable_snapshot_annotations = false\n", k21));
    CHECK_FALSE(splits(images + "]\ndisable_snapshot_annotations = true\n", k21));
    CHECK(splits(images + "]\ndiscard_unpacked_layers = true\n", k21));
    CHECK(splits(images + "]\nimage_pull_with_sync_fs = true\n", k21));
    CHECK(splits(images + ".registry.configs.\"h\".auth]\nusername = \"u\"\n", k21));
    CHECK_FALSE(splits(images + ".registry.configs]\n", k21));
    // A file of an older version is migrated: not every key, and some only beside runtimes.
    CHECK(splits(cri + "]\nmax_concurrent_downloads = 4\n", k21));
    CHECK_FALSE(splits(cri + "]\nuse_local_image_pull = true\n", k21));
    CHECK_FALSE(splits(cri + ".containerd]\ndiscard_unpacked_layers = true\n", k21));
    CHECK(splits(cri + ".containerd]\ndiscard_unpacked_layers = true\n" +
                     "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n",
                 k21));
    // A later import has the last word.
    const std::string import = directory.write(
        "import.toml", images + "]\nmax_concurrent_downloads = 3\nuse_local_image_pull = true\n");
    const std::string imports = "imports = [\"" + import + "\"]\n";
    CHECK(splits(imports + images + "]\nmax_concurrent_downloads = 4\n", k21));
    directory.write("import.toml", images + "]\nmax_concurrent_downloads = 3\n");
    CHECK_FALSE(splits(imports + images + "]\nmax_concurrent_downloads = 4\n", k21));
}

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
        Seen<ContainerdConfig>::known(read(directory.write("config.toml", text), version));
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

TEST_CASE("credentials of a configuration are not shown") {
    const std::string shown = redactConfig(
        "[x.auth]\n  username = \"robot\"\n  password = \"pw1\"\n  identitytoken=\"pw2\"\n"
        "[y]\nendpoint = [\"https://u:pw3@h\"]\nlevel = \"info\"\n"
        "z = { password = \"pw4\", username = \"x\" }\n[r.headers]\n# Old = \"pw5\"\nX = [\n"
        "\"pw6==\",\n]\n");
    CHECK(redactConfig("broken = [\"pw1\"\n").find("pw1") == std::string::npos);
    for (const char* secret : {"pw1", "pw2", "pw3", "pw4", "pw5", "pw6"})
        CHECK_THAT(shown, !Catch::Contains(secret));
    CHECK_THAT(shown, Catch::Contains("level = \"info\""));
}
