#include "base/digest.hpp"
#include "base/read_file.hpp"
#include "files/certs_tree.hpp"
#include "files/entries.hpp"
#include "files/tree_watch.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

using namespace nodemirror;
namespace fs = std::filesystem;

namespace {

bool readable(int fd) {
    pollfd waiting{fd, POLLIN, 0};
    return ::poll(&waiting, 1, 2000) == 1;
}

mode_t modeOf(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("mode and content are of one file, whatever is exchanged meanwhile") {
    const TemporaryDirectory root;
    REQUIRE(::chmod(root.write("one", "secret").c_str(), 0600) == 0);
    REQUIRE(::chmod(root.write("two", "public").c_str(), 0644) == 0);
    const UniqueFd directory(::open((root / "").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::atomic<int> exchanged{0};
    std::jthread others([&](const std::stop_token& end) {
        while (!end.stop_requested())
            exchanged += files::exchange(directory.get(), "one", "two") == 0 ? 1 : 0;
    });
    bool mixed = false;
    for (int looks = 0; looks < 2000 || exchanged < 2000; ++looks) {
        const auto seen = files::observeEntry(directory.get(), "one");
        REQUIRE(seen);
        mixed = mixed || (seen->mode == 0600) != (seen->content == "secret");
    }
    CHECK_FALSE(mixed);
}

TEST_CASE("a file is replaced whole, with its mode, and no temporary is left") {
    const TemporaryDirectory root;
    files::Access access;
    access.mode = 0640;
    REQUIRE(files::writeAtomically(root / "file", "one", access));
    REQUIRE(files::writeAtomically(root / "file", "two", access));
    CHECK(root.read("file") == "two");
    CHECK(modeOf(root / "file") == 0640);
    CHECK(std::distance(fs::directory_iterator(root / ""), {}) == 1);
    CHECK_FALSE(files::writeAtomically(root / "no/such/file", "x", access));
}

TEST_CASE("a file is exchanged only for what it was thought to hold") {
    const TemporaryDirectory root;
    const std::string path = root.write("config.toml", "before");
    files::Access access;
    access.mode = 0640;
    REQUIRE(files::exchangeAtomically(path, "before", "after", access));
    CHECK(root.read("config.toml") == "after");
    for (const std::string expected : {"before", "afte", "after!", ""}) {
        CAPTURE(expected);
        const auto changed = files::exchangeAtomically(path, expected, "ours", access);
        REQUIRE_FALSE(changed);
        CHECK_THAT(changed.error().text(), Catch::Contains("it changed meanwhile"));
        CHECK(root.read("config.toml") == "after");
    }
    CHECK_FALSE(files::exchangeAtomically(root / "absent", "", "ours", access));
    CHECK_FALSE(root.exists("absent"));
    CHECK(std::distance(std::filesystem::directory_iterator(root / ""), {}) == 1);
}

TEST_CASE("a file that somebody is writing is not exchanged, and not taken for finished") {
    const TemporaryDirectory root;
    const std::string path = root.write("config.toml", "before");
    {
        std::ofstream theirs(path, std::ios::app);
        const auto changed = files::exchangeAtomically(path, "before", "ours", files::Access());
        REQUIRE_FALSE(changed);
        const auto read = readWholeFile(path, 1000, Writers::Anyone, Unfinished::Refuse);
        REQUIRE_FALSE(read);
        CHECK(read.error().transient());
        CHECK_THAT(read.error().text(), Catch::Contains("somebody has it open for writing"));
        CHECK(*readWholeFile(path, 1000) == "before");
        theirs << " and after";
    }
    CHECK(root.read("config.toml") == "before and after");
    REQUIRE(files::exchangeAtomically(path, "before and after", "ours", files::Access()));
    CHECK(*readWholeFile(path, 1000, Writers::Anyone, Unfinished::Refuse) == "ours");
    CHECK(std::distance(std::filesystem::directory_iterator(root / ""), {}) == 1);
}

TEST_CASE("hosts.toml is put in place whatever stands there") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    REQUIRE(tree.ensureRoot());
    root.write("outside/hosts.toml", "outside");
    root.write("elsewhere", "elsewhere");
    SECTION("nothing") {}
    SECTION("a directory without it") { fs::create_directories(root / "certs.d/docker.io"); }
    SECTION("a file of it") { root.write("certs.d/docker.io/hosts.toml", "old"); }
    SECTION("a file in the directory's place") { root.write("certs.d/docker.io", "odd"); }
    SECTION("a link in the directory's place") {
        fs::create_directory_symlink(root / "outside", root / "certs.d/docker.io");
    }
    SECTION("a dangling link in the directory's place") {
        fs::create_directory_symlink(root / "nowhere", root / "certs.d/docker.io");
    }
    SECTION("a link in the file's place") {
        fs::create_directories(root / "certs.d/docker.io");
        fs::create_symlink(root / "elsewhere", root / "certs.d/docker.io/hosts.toml");
    }
    SECTION("an empty directory in the file's place") {
        fs::create_directories(root / "certs.d/docker.io/hosts.toml");
    }
    const auto aside = tree.write("docker.io", "wanted", 0644, {});
    REQUIRE(aside);
    CHECK(aside->empty());
    CHECK(root.read("certs.d/docker.io/hosts.toml") == "wanted");
    CHECK(fs::is_directory(fs::symlink_status(root / "certs.d/docker.io")));
    CHECK(fs::is_regular_file(fs::symlink_status(root / "certs.d/docker.io/hosts.toml")));
    CHECK(modeOf(root / "certs.d/docker.io") == 0755);
    // Nothing was written through a link, and no temporary is left.
    CHECK(root.read("outside/hosts.toml") == "outside");
    CHECK(root.read("elsewhere") == "elsewhere");
    for (const auto& entry : fs::recursive_directory_iterator(root / "certs.d"))
        CHECK_THAT(entry.path().filename().string(), !Catch::StartsWith(".nodemirrord-"));
}

TEST_CASE("a directory that is not empty is set aside and can be put back") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    root.write("certs.d/docker.io/hosts.toml/inner", "precious");
    const auto name = tree.nameToKeep("docker.io/hosts.toml");
    REQUIRE(name);
    const auto aside = tree.write("docker.io", "wanted", 0600, {"", *name});
    REQUIRE(aside);
    CHECK(*aside == *name);
    CHECK(root.read("certs.d/" + *aside + "/inner") == "precious");
    CHECK(modeOf(root / "certs.d/docker.io/hosts.toml") == 0600);
    BackedUpEntry entry;
    entry.path = "docker.io/hosts.toml";
    entry.type = BackedUpEntry::Type::Aside;
    entry.stored = *aside;
    REQUIRE(tree.restore(entry, ""));
    CHECK(root.read("certs.d/docker.io/hosts.toml/inner") == "precious");
}

TEST_CASE("what came after a copy was kept stays") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    fs::create_directories(root / "certs.d/docker.io");
    const std::string path = "certs.d/docker.io/hosts.toml";
    files::CertsTree::Kept kept;
    kept.first = "";
    SECTION("there was none, and is none") {
        REQUIRE(tree.write("docker.io", "wanted", 0644, kept));
        CHECK(root.read(path) == "wanted");
    }
    SECTION("there was none") {
        root.write(path, "newer");
        const auto written = tree.write("docker.io", "wanted", 0644, kept);
        REQUIRE_FALSE(written);
        CHECK(written.error().transient());
        CHECK(root.read(path) == "newer");
    }
    SECTION("it is the one that was kept") {
        root.write(path, "older");
        kept.first = sha256Hex("older");
        REQUIRE(tree.write("docker.io", "wanted", 0600, kept));
        CHECK(root.read(path) == "wanted");
        CHECK(modeOf(root / path) == 0600);
    }
    SECTION("it is another by now") {
        root.write(path, "newer");
        kept.first = sha256Hex("older");
        const auto written = tree.write("docker.io", "wanted", 0644, kept);
        REQUIRE_FALSE(written);
        CHECK_THAT(written.error().text(), Catch::Contains("docker.io/hosts.toml: it changed"));
        CHECK(root.read(path) == "newer");
    }
    SECTION("it is to be removed") {
        root.write(path, "newer");
        const bool alone = GENERATE(true, false);
        if (!alone) root.write("certs.d/docker.io/ca.crt", "mine");
        CHECK_FALSE(tree.remove("docker.io", sha256Hex("older")));
        CHECK(root.read(path) == "newer");
        REQUIRE(tree.remove("docker.io", sha256Hex("newer")));
        CHECK_FALSE(root.exists(path));
        CHECK(root.exists("certs.d/docker.io") == !alone);
    }
    for (const auto& entry : fs::recursive_directory_iterator(root / "certs.d"))
        CHECK_THAT(entry.path().filename().string(), !Catch::StartsWith(".nodemirrord-"));
}

TEST_CASE("what was in a directory's place comes back, whatever was put into the directory") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    root.write("outside/hosts.toml", "outside");
    root.write("certs.d/docker.io/hosts.toml", "ours");
    const bool filled = GENERATE(true, false);
    if (filled) root.write("certs.d/docker.io/ca.crt", "mine");
    BackedUpEntry entry;
    entry.path = "docker.io";
    SECTION("a link") {
        entry.type = BackedUpEntry::Type::Symlink;
        entry.stored = root / "outside";
        REQUIRE(tree.restore(entry, ""));
        CHECK(fs::is_symlink(root / "certs.d/docker.io"));
        CHECK(root.read("certs.d/docker.io/hosts.toml") == "outside");
    }
    SECTION("a file") {
        entry.uid = ::geteuid();
        entry.gid = ::getegid();
        REQUIRE(tree.restore(entry, "odd"));
        CHECK(root.read("certs.d/docker.io") == "odd");
    }
    CHECK(root.read("outside/hosts.toml") == "outside");
    CHECK(root.exists("certs.d/docker.io.aside-1") == filled);
    if (filled) CHECK(root.read("certs.d/docker.io.aside-1/ca.crt") == "mine");
    CHECK_FALSE(root.exists("certs.d/docker.io.aside-1/hosts.toml"));
}

TEST_CASE("what is there is seen as it is, and what cannot be looked at is unknown") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    CHECK(tree.observe("docker.io").value().directory.type == ObservedEntry::Type::Absent);
    root.write("certs.d/docker.io/hosts.toml", "x");
    CHECK(tree.observe("docker.io").value().hosts.content == "x");
    fs::remove_all(root / "certs.d");
    root.write("certs.d", "a file");
    const auto seen = tree.observe("docker.io");
    CHECK(seen.isUnknown());
    CHECK_FALSE(seen.why().empty());
    CHECK_FALSE(tree.ensureRoot());
}

TEST_CASE("removing leaves no empty directory, and never what is not ours") {
    const TemporaryDirectory root;
    const files::CertsTree tree(root / "certs.d");
    root.write("certs.d/a/hosts.toml", "x");
    root.write("certs.d/b/hosts.toml", "x");
    root.write("certs.d/b/ca.crt", "mine");
    REQUIRE(tree.remove("a"));
    REQUIRE(tree.remove("b"));
    REQUIRE(tree.remove("never-was"));
    CHECK_FALSE(root.exists("certs.d/a"));
    CHECK_FALSE(root.exists("certs.d/b/hosts.toml"));
    CHECK(root.read("certs.d/b/ca.crt") == "mine");
}

TEST_CASE("the tree is watched wherever it comes and goes") {
    const TemporaryDirectory root;
    root.write("etc/certs.d/docker.io/hosts.toml", "x");
    auto watch = files::TreeWatch::open(root / "etc/certs.d");
    REQUIRE(watch);
    const auto changes = [&] {
        REQUIRE(readable(watch->fd()));
        return watch->drain();
    };
    root.write("etc/certs.d/docker.io/hosts.toml", "y");
    CHECK(changes().directories == std::set<std::string>{"docker.io"});
    fs::permissions(root / "etc/certs.d/docker.io/hosts.toml", fs::perms::owner_read);
    CHECK(changes().directories == std::set<std::string>{"docker.io"});
    root.write("etc/certs.d/quay.io/hosts.toml", "y");
    CHECK(changes().directories.count("quay.io") == 1);
    // The new directory is watched too.
    root.write("etc/certs.d/quay.io/hosts.toml", "z");
    CHECK(changes().directories == std::set<std::string>{"quay.io"});
    fs::permissions(root / "etc/certs.d", fs::perms::all);
    CHECK(changes().everything);
    fs::rename(root / "etc/certs.d", root / "etc/away");
    CHECK(changes().everything);
    fs::create_directories(root / "etc/certs.d/docker.io");
    CHECK(changes().everything);
    fs::remove_all(root / "etc");
    CHECK(changes().everything);
    fs::create_directories(root / "etc");
    CHECK(changes().everything);
    fs::create_directories(root / "etc/certs.d");
    CHECK(changes().everything);
    root.write("etc/certs.d/docker.io/hosts.toml", "again");
    CHECK(changes().directories.count("docker.io") == 1);
}

TEST_CASE("files are watched through links and swaps") {
    const TemporaryDirectory root;
    root.write("v1/desired.yaml", "1");
    root.write("v2/desired.yaml", "2");
    fs::create_directories(root / "d");
    fs::create_directory_symlink(root / "v1", root / "d/..data");
    fs::create_symlink("..data/desired.yaml", root / "d/desired.yaml");
    auto watch = files::FilesWatch::open();
    REQUIRE(watch);
    watch->setFiles({root / "d/desired.yaml"});
    const auto changed = [&] { return readable(watch->fd()) && watch->drain(); };
    fs::create_directory_symlink(root / "v2", root / "d/..tmp");
    fs::rename(root / "d/..tmp", root / "d/..data");
    CHECK(changed());
    root.write("v2/desired.yaml", "3");
    CHECK(changed());
    fs::remove(root / "d/desired.yaml");
    CHECK(changed());
    root.write("d/desired.yaml", "4");
    CHECK(changed());
    root.write("d/other", "no matter");
    CHECK(readable(watch->fd()));
    CHECK_FALSE(watch->drain());
}
