#include "containerd_config/config_edit.hpp"
#include "plan/config_plan.hpp"
#include "support/temporary_directory.hpp"
#include "support/without_capabilities.hpp"
#include "unit/config_samples.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace nodemirror;

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
    const auto v17 = readConfig(main, k17);
    CHECK(v17.files.size() == 3);
    CHECK(v17.configPath.empty());
    CHECK(v17.sandboxImage == "b/pause:1");
    CHECK(v17.registryFile(k17)->path == directory / "conf.d/b.toml");
    const auto v21 = readConfig(main, k21);
    CHECK(v21.configPath == "/c");
    CHECK(v21.sandboxImage == "b/pause:1");
    const auto edits = editConfigPath(v17, k17, kCerts);
    REQUIRE(edits);
    REQUIRE(edits->size() == 1);
    CHECK_THAT(edits->front().after,
               Catch::Contains("[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path"));
}

TEST_CASE("imports by pattern are those that containerd finds, or it is told why not") {
    const TemporaryDirectory directory;
    const std::string off = "version = 2\ndisabled_plugins = [\"cri\"]\n";
    directory.write("conf.d/a/.hidden.toml", off);
    const auto with = [&](const std::string& pattern) {
        const std::string path = directory.write(
            "config.toml", "version = 2\nimports = [\"" + directory / pattern + "\"]\n");
        return readContainerdConfig(path, k17);
    };
    CHECK(with("conf.d/*/*.toml")->criDisabled);
    CHECK(with("conf.d/*/*.toml")->files.size() == 2);
    directory.write("conf.d/a-b/c.toml", "version = 2\n");
    CHECK(with("conf.d/*/*.toml")->files.back().path == directory / "conf.d/a-b/c.toml");
    CHECK(with("conf.d/../conf.d/a/*.toml")->criDisabled);
    CHECK_FALSE(with("absent/*.toml")->criDisabled);
    CHECK_FALSE(with("conf.d/a/.hidden.toml/*.toml")->criDisabled);
    REQUIRE(::chown((directory / "conf.d/a").c_str(), 1234, 1234) == 0);
    REQUIRE(::chmod((directory / "conf.d/a").c_str(), 0700) == 0);
    const WithoutCapabilities as;
    const auto unread = with("conf.d/a/*.toml");
    REQUIRE_FALSE(unread);
    CHECK_THAT(unread.error().text(),
               Catch::Contains("conf.d/a: Permission denied") && Catch::Contains("imports"));
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

TEST_CASE("patterns of imports lead through so many names and no more") {
    const TemporaryDirectory directory;
    for (int i = 0; i < 150; ++i) directory.write("wide/" + std::to_string(i) + "/x", "");
    const auto with = [&](const std::string& imports) {
        return readContainerdConfig(
            directory.write("config.toml", "version = 2\nimports = [" + imports + "]\n"), k17);
    };
    const std::string pattern = "\"" + (directory / "wide/*/*.toml") + "\"";
    CHECK(with(pattern));
    // None of them finds anything.
    std::string many = pattern;
    for (int i = 0; i < 60; ++i) many += ", " + pattern;
    const auto tooMany = with(many);
    REQUIRE_FALSE(tooMany);
    CHECK_THAT(tooMany.error().text(), Catch::Contains("more than 20000 names"));
    std::string nowhere = "\"/nowhere/*.toml\"";
    for (int i = 0; i < 25'000; ++i) nowhere += ",\"/nowhere/*\"";
    CHECK_FALSE(with(nowhere));
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
    const std::string images = "version = 3\n[plugins.\"io.containerd.cri.v1.images\"";
    const std::string cri = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"";
    const std::string runtimes =
        "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n";
    struct Case {
        ContainerdVersion version;
        std::string text;
        bool splits;
    };
    const std::vector<Case> cases{
        {k17, "version = 2\n", true},
        {{2, 0, 5}, "version = 3\n", true},
        {k21, "version = 3\n", false},
        {k21, images + "]\nuse_local_image_pull = true\n", true},
        {k21, images + "]\nuse_local_image_pull = false\n", false},
        {k21, images + "]\nmax_concurrent_downloads = 4\n", true},
        {k21, images + "]\nmax_concurrent_downloads = 3\n", false},
        {k21, images + "]\ndisable_snapshot_annotations = false\n", true},
        {k21, images + "]\ndisable_snapshot_annotations = true\n", false},
        {k21, images + "]\ndiscard_unpacked_layers = true\n", true},
        {k21, images + "]\nimage_pull_with_sync_fs = true\n", true},
        {k21, images + ".registry.configs.\"h\".auth]\nusername = \"u\"\n", true},
        {k21, images + ".registry.configs]\n", false},
        // A file of an older version is migrated: not every key, and some only beside runtimes.
        {k21, cri + "]\nmax_concurrent_downloads = 4\n", true},
        {k21, cri + "]\nuse_local_image_pull = true\n", false},
        {k21, cri + ".containerd]\ndiscard_unpacked_layers = true\n", false},
        {k21, cri + ".containerd]\ndiscard_unpacked_layers = true\n" + runtimes, true},
    };
    const TemporaryDirectory directory;
    const auto splits = [&](const std::string& text, const ContainerdVersion& version) {
        return readConfig(directory.write("config.toml", text), version).splitsConfigPath(version);
    };
    for (const auto& each : cases) {
        CAPTURE(each.version.text(), each.text);
        CHECK(splits(each.text, each.version) == each.splits);
    }
    // A later import has the last word.
    const std::string last = images + "]\nmax_concurrent_downloads = 3\n";
    const std::string main = "imports = [\"" + directory / "import.toml" + "\"]\n" + images +
                             "]\nmax_concurrent_downloads = 4\n";
    directory.write("import.toml", last + "use_local_image_pull = true\n");
    CHECK(splits(main, k21));
    directory.write("import.toml", last);
    CHECK_FALSE(splits(main, k21));
}

namespace {

/// A layout of config.toml and one import, with the config_path that `containerd config dump` of
/// 2.1.9 shows.
struct Layout {
    std::string main;
    std::string import;
    std::string configPath;
};

const std::string kOld = "[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/g\"\n";
const std::string kNew =
    "[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/i\"\n";
const std::string kShort = "[plugins.cri.registry]\nconfig_path = \"/c\"\n";
const std::string kOldMirrors =
    "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
    "endpoint = [\"https://old.example\"]\n";

const std::vector<Layout> kLayouts{
    {kShort, "", ""},
    {"version = 1\n" + kShort, "", ""},
    {kNew, "", "/i"},
    {kOld, "", ""},
    {"version = 2\n" + kOld, "", "/g"},
    {"version = 2\n" + kNew, "", "/i"},
    {"version = 2\n" + kNew + kOld, "", "/g"},
    {"version = 3\n" + kOld, "", ""},
    {"version = 2\n" + kOld, "version = 3\n", ""},
    {"version = 2\n" + kOld, kShort, "/c"},
    {"version = 2\n", kShort, "/c"},
    {kShort, "version = 2\n", "/c"},
    {"version = 3\n", "version = 2\n" + kOld, "/g"},
    {"version = 3\n" + kNew, "version = 2\n" + kOld, "/g"},
    {"version = 2\n" + kNew, "version = 2\n" + kOldMirrors, ""},
    {"", "", ""},
};

}  // namespace

TEST_CASE("which plugin's registry counts, by the versions of all files") {
    const TemporaryDirectory directory;
    for (const auto& layout : kLayouts) {
        CAPTURE(layout.main, layout.import);
        const std::string import = directory.write("import.toml", layout.import);
        const std::string path =
            directory.write("config.toml", "imports = [\"" + import + "\"]\n" + layout.main);
        const auto config = readConfig(path, k21);
        CHECK(config.configPath == layout.configPath);
        // What is written is read, and leaves nothing beside it that CRI would not load with.
        const auto edits = editConfigPath(config, k21, kCerts);
        REQUIRE(edits);
        for (const auto& edit : *edits)
            directory.write(edit.path.substr(edit.path.rfind('/') + 1), edit.after);
        const auto edited = readConfig(path, k21);
        CHECK(edited.configPath == kCerts);
        CHECK(edited.mirrors.empty());
    }
}

TEST_CASE("an empty value in a later file takes away what stood before it") {
    const TemporaryDirectory directory;
    const std::string table = "[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = ";
    const std::string import =
        directory.write("import.toml", "version = 3\n" + table + "\"\"\n" +
                                           "[plugins.\"io.containerd.cri.v1.images\"."
                                           "pinned_images]\nsandbox = \"\"\n");
    const std::string path = directory.write(
        "config.toml", "version = 3\nimports = [\"" + import + "\"]\n" + table + "\"" + kCerts +
                           "\"\n[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n"
                           "sandbox = \"r.example/p:1\"\n");
    const auto config = readConfig(path, k21);
    CHECK(config.configPath.empty());
    CHECK(config.sandboxImage == "registry.k8s.io/pause:3.10");
    const auto edits = editConfigPath(config, k21, kCerts);
    REQUIRE(edits);
    REQUIRE(edits->size() == 1);
    CHECK(edits->front().path == import);
    directory.write("import.toml", edits->front().after);
    CHECK(readConfig(path, k21).configPath == kCerts);
}

TEST_CASE("on 1.x all files are of the version that the last one declares") {
    const TemporaryDirectory directory;
    const auto with = [&](const std::string& main, const std::string& import) {
        const std::string path = directory.write("import.toml", import);
        return readContainerdConfig(
            directory.write("config.toml", "imports = [\"" + path + "\"]\n" + main), k17);
    };
    // Docker's file, which has no version, beside a snapshotter's.
    const std::string uri = "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x/y:1\"\n";
    const auto late = with(uri, "version = 2\n[debug]\n");
    REQUIRE(late);
    CHECK(late->sandboxImage == "x/y:1");
    const auto edits = editConfigPath(*late, k17, kCerts);
    REQUIRE(edits);
    CHECK_THAT(edits->front().after,
               Catch::Contains("[plugins.\"io.containerd.grpc.v1.cri\".registry]"));
    const auto old = with("version = 2\n" + kOld, "version = 1\n[debug]\n");
    REQUIRE(old);
    CHECK(old->configPath.empty());
    const auto refused = with(kShort, "version = 2\n");
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().text(), Catch::Contains("io.containerd.x.vx"));
}

TEST_CASE("a configuration with which containerd does not start cannot be read") {
    const TemporaryDirectory directory;
    const auto refusal = [&](const std::string& text, const ContainerdVersion& version) {
        const auto config = readContainerdConfig(directory.write("config.toml", text), version);
        return config ? std::string() : config.error().text();
    };
    CHECK_THAT(refusal("version = 3\n", k17), Catch::Contains("knows no version 3"));
    CHECK_THAT(refusal("version = 4\n", k21), Catch::Contains("knows no version 4"));
    CHECK(refusal("version = 4\n", ContainerdVersion{2, 3, 0}).empty());
    CHECK(refusal("version = 3\n", ContainerdVersion{1, 6, 20}).empty());
    CHECK_THAT(refusal("version = \"2\"\n", k21), Catch::Contains("no number"));
    CHECK_THAT(refusal("version = 2\nimports = \"/x.toml\"\n", k17),
               Catch::Contains("no list of strings"));
    const std::string section = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n";
    CHECK_THAT(refusal(section + "sandbox_image = 1\n", k17), Catch::Contains("sandbox_image"));
    CHECK_THAT(refusal(section + "registry = {config_path = [\"/a\"]}\n", k17),
               Catch::Contains("registry.config_path (line 3)"));
    CHECK(readConfig(directory.write("config.toml", "version = 0x2\n" + kOld), k17).configPath ==
          "/g");
}

TEST_CASE("the sandbox image under either name") {
    const TemporaryDirectory directory;
    const auto sandboxOf = [&](const std::string& text) {
        return readConfig(directory.write("config.toml", text), k21).sandboxImage;
    };
    const std::string pinned =
        "[plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = \"r.example/p:2\"\n";
    const std::string old =
        "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"r.example/p:3\"\n";
    CHECK(sandboxOf("version = 2\n" + pinned) == "r.example/p:2");
    CHECK(sandboxOf("version = 2\n" + pinned + old) == "r.example/p:3");
    CHECK(sandboxOf("version = 3\n" + pinned + old) == "r.example/p:2");
    // What is added beside CRI's section has the section's name, or containerd takes either.
    const std::string path = directory.write("config.toml", old);
    const std::string import = directory.write("import.toml", "version = 2\n");
    directory.write("config.toml", "imports = [\"" + import + "\"]\n" + old);
    const auto edits = editConfigPath(readConfig(path, k21), k21, kCerts);
    REQUIRE(edits);
    directory.write("config.toml", edits->front().after);
    CHECK(readConfig(path, k21).sandboxImage == "r.example/p:3");
    CHECK_THAT(edits->front().after, !Catch::Contains("plugins.cri"));
    CHECK(sandboxOf("[plugins.cri]\nsandbox_image = \"r.example/p:3\"\n") ==
          "registry.k8s.io/pause:3.10");
}
