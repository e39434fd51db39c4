#include "containerd_config/config_edit.hpp"
#include "support/temporary_directory.hpp"
#include "toml/edit.hpp"
#include "unit/config_samples.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

const std::vector<std::string> kTable{"plugins", "io.containerd.grpc.v1.cri", "registry"};

}  // namespace

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
        const auto after = toml_text::setString(each.before, kTable, "config_path", "/c");
        REQUIRE(after);
        CHECK(*after == each.after);
        // Setting it again changes nothing.
        CHECK(*toml_text::setString(*after, kTable, "config_path", "/c") == *after);
    }
}

TEST_CASE("what cannot be edited safely is an error that says what to write") {
    for (const std::string text :
         {"plugins = 1\n", "plugins = { \"io.containerd.grpc.v1.cri\" = { registry = {} } }\n",
          "[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = 1\n", "broken = [\n"}) {
        CAPTURE(text);
        const auto after = toml_text::setString(text, kTable, "config_path", "/c");
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
    const auto after = toml_text::removePaths(before, {path});
    REQUIRE(after);
    CHECK(*after == "version = 2\n# about mirrors\n  # inner\n    # both\n[next]\nx = 1\n");
    CHECK(*toml_text::removePaths(before, {path, {"next"}}) ==
          "version = 2\n# about mirrors\n  # inner\n    # both\n");
    // What cannot be taken out is named.
    const auto refused =
        toml_text::removePaths(before + "y = { z = 1 }\n", {path, {"next", "y", "z"}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().object() == "the table [next.y.z]");
}

TEST_CASE("a configuration that is not there, and one that cannot be read") {
    const TemporaryDirectory directory;
    const std::string path = directory / "config.toml";
    const auto config = readConfig(path, k21);
    CHECK_FALSE(config.exists);
    CHECK(config.sandboxImage == "registry.k8s.io/pause:3.10");
    const auto edits = editConfigPath(config, k21, kCerts);
    REQUIRE(edits);
    CHECK_FALSE(edits->front().existed);
    directory.write("config.toml", edits->front().after);
    CHECK(readConfig(path, k21).configPath == kCerts);
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
    CHECK(readConfig(path, k21).configPath == kCerts);
    const auto config = readConfig(path, k23);
    CHECK(config.configPath.empty());
    const auto edits = editConfigPath(config, k23, kCerts);
    REQUIRE(edits);
    REQUIRE(edits->size() == 1);
    directory.write("config.toml", edits->front().after);
    CHECK(readConfig(path, k23).configPath == kCerts);
    CHECK_THAT(edits->front().after, Catch::Contains(cri + "  config_path"));
    // Whichever file it is in; and not in a file of version 4.
    const std::string import = directory.write("import.toml", "version = 3\n" + cri);
    const std::string main =
        "imports = [\"" + import + "\"]\nversion = 3\n" + images + "config_path = \"/x\"\n";
    directory.write("config.toml", main);
    const auto imported = readConfig(path, k23);
    CHECK(imported.configPath.empty());
    REQUIRE(imported.registryFile(k23) != nullptr);
    CHECK(imported.registryFile(k23)->path == import);
    directory.write("config.toml", "version = 4\n" + images + "config_path = \"/x\"\n" + cri);
    CHECK(readConfig(path, k23).configPath == "/x");
}

TEST_CASE("long texts are nobody's end") {
    CHECK_FALSE(parseContainerdVersion("1.7" + std::string(100'000, 'x')));
    const std::string text =
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = "
        "{ config_path = \"" +
        std::string(100'000, 'a') + "\" }\n";
    const auto edited = toml_text::setString(
        text, {"plugins", "io.containerd.grpc.v1.cri", "registry"}, "config_path", kCerts);
    REQUIRE_FALSE(edited);
    CHECK_THAT(edited.error().remedy(), Catch::Contains("by hand"));
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
