/// What other users can bring about below certs.d, and above it.
#include "base/read_file.hpp"
#include "base/unique_fd.hpp"
#include "desired/load.hpp"
#include "reconcile/registry_claims.hpp"
#include "support/keeper_world.hpp"
#include "support/other_user.hpp"
#include "support/without_capabilities.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>

#include <csignal>

using namespace nodemirror;
namespace fs = std::filesystem;

namespace {

constexpr char kHosts[] = "certs.d/docker.io/hosts.toml";

}  // namespace

TEST_CASE("that certificates of others were passed over is told") {
    World world;
    world.root.write(kHosts, "ca = \"/nowhere.pem\"\n");
    world.want(desire({}));
    CHECK(world.view("docker.io").state == RegistryState::Invalid);
    CHECK(world.view("docker.io").warnings.empty());
    give(world.root / "certs.d/docker.io", 0755);
    world.restart();
    world.want(desire({}));
    CHECK(world.view("docker.io").state == RegistryState::Unmanaged);
    REQUIRE(world.view("docker.io").warnings.size() == 1);
    CHECK_THAT(world.view("docker.io").warnings[0], Catch::Contains("were not looked at"));
}

TEST_CASE("hosts that others may not read are not shown to them") {
    World world;
    const std::string secret = world.root.write("secret", "server = \"https://hidden.example\"\n");
    world.root.write("certs.d/docker.io/x", "");
    fs::create_symlink(secret, world.root / kHosts);
    world.want(desire({}));
    const auto hosts = [&] { return world.view("docker.io").chain.size(); };
    CHECK(hosts() == 1);
    give(world.root / "certs.d/docker.io", 0755);
    world.restart();
    world.want(desire({}));
    CHECK(hosts() == 0);
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("it is not followed"));
    // A link that is theirs is theirs still where the directory is closed to them.
    REQUIRE(::lchown((world.root / kHosts).c_str(), kSomebody, kSomebody) == 0);
    give(world.root / "certs.d/docker.io", 0755, 0);
    world.restart();
    world.want(desire({}));
    CHECK(hosts() == 0);
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("it is not followed"));
    // Whatever it leads to: not even whether that exists is told.
    const std::string told = world.view("docker.io").problem;
    fs::remove(secret);
    world.restart();
    world.want(desire({}));
    CHECK(world.view("docker.io").problem == told);
}

TEST_CASE("a file of others that leads elsewhere is read where it is") {
    World world;
    const std::string secret =
        world.root.write("certs.d/quay.io/hosts.toml", "server = \"https://hidden.example\"\n");
    give(secret, 0600, 0);
    give(world.root / "certs.d/quay.io", 0755);
    world.want(desire({}));
    CHECK(world.view("quay.io").chain.empty());
    CHECK_THAT(world.view("quay.io").warnings.at(0), Catch::Contains("are not shown"));
}

TEST_CASE("another user's link comes back as theirs") {
    World world;
    world.root.write("certs.d/docker.io/x", "");
    fs::create_symlink("/nowhere", world.root / kHosts);
    REQUIRE(::lchown((world.root / kHosts).c_str(), kSomebody, kSomebody) == 0);
    const WithoutCapabilities as;
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.restart();
    world.want(desire({}));
    CHECK(fs::read_symlink(world.root / kHosts) == "/nowhere");
    CHECK(ownerOf(world.root / kHosts) == kSomebody);
}

TEST_CASE("another user's directory is pruned whole and comes back as theirs") {
    World world;
    const bool link = GENERATE(false, true);
    if (link) {
        fs::create_directories(world.root / "certs.d/docker.io");
        fs::create_symlink("/nowhere", world.root / kHosts);
    } else {
        give(world.root.write(kHosts, "# theirs\n"), 0644);
    }
    give(world.root / "certs.d/docker.io", 0755);
    const WithoutCapabilities as;
    world.want(desire({}, "", UnmanagedPolicy::Prune));
    CHECK_FALSE(world.root.exists("certs.d/docker.io"));
    CHECK(ownerOf(world.root / "certs.d/docker.io.aside-1") == kSomebody);
    world.restart();
    world.want(desire({}));
    CHECK(ownerOf(world.root / "certs.d/docker.io") == kSomebody);
    CHECK(fs::is_symlink(world.root / kHosts) == link);
    CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-1"));
}

TEST_CASE("what is beside hosts.toml in another user's directory is not pruned with it") {
    World world;
    give(world.root.write(kHosts, "# theirs\n"), 0644);
    world.root.write("certs.d/docker.io/ca.crt", "a certificate");
    give(world.root / "certs.d/docker.io", 0755);
    const WithoutCapabilities as;
    CHECK(world.want(desire({}, "", UnmanagedPolicy::Prune)) == 0);
    CHECK(world.root.read("certs.d/docker.io/ca.crt") == "a certificate");
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("has more in it: ca.crt"));
    CHECK_THAT(world.view("docker.io").remedy, Catch::Contains("chown -R root:root"));
}

TEST_CASE("a directory that another user makes again and again is not pruned without an end") {
    World world;
    for (int i = 0; i < 5; ++i) {
        fs::create_directories(world.root / "certs.d/docker.io");
        give(world.root.write(kHosts, "# theirs " + std::to_string(i) + "\n"), 0644);
        give(world.root / "certs.d/docker.io", 0755);
        const WithoutCapabilities as;
        CHECK(world.want(desire({}, "", UnmanagedPolicy::Prune)) == (i < 3 ? 1 : 0));
        world.now.steady += std::chrono::hours(1);
    }
    CHECK_FALSE(world.root.exists("certs.d/docker.io.aside-4"));
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("again and again"));
}

TEST_CASE("another user's link in a directory's place does not come back as root's") {
    World world;
    world.root.write("private/hosts.toml", "server = \"https://hidden.example\"\n");
    fs::create_directories(world.root / "certs.d");
    fs::create_directory_symlink(world.root / "private", world.root / "certs.d/docker.io");
    REQUIRE(::lchown((world.root / "certs.d/docker.io").c_str(), kSomebody, kSomebody) == 0);
    // While it is there, what it leads to is not told.
    world.want(desire({}));
    CHECK(world.view("docker.io").chain.empty());
    CHECK_THAT(world.view("docker.io").problem, Catch::Contains("another user's: it is not"));
    world.want(desire({"docker.io"}));
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    world.want(desire({}));
    CHECK_FALSE(fs::exists(fs::symlink_status(world.root / "certs.d/docker.io")));
    CHECK(world.root.exists("private/hosts.toml"));
}

TEST_CASE("another user's link that was pruned does not come back as root's") {
    World world;
    world.root.write("certs.d/docker.io/ca.crt", "a certificate");
    fs::create_symlink("/nowhere", world.root / kHosts);
    REQUIRE(::lchown((world.root / kHosts).c_str(), kSomebody, kSomebody) == 0);
    world.want(desire({}, "", UnmanagedPolicy::Prune));
    CHECK_FALSE(fs::is_symlink(fs::symlink_status(world.root / kHosts)));
    world.want(desire({}));
    CHECK_FALSE(fs::is_symlink(fs::symlink_status(world.root / kHosts)));
    CHECK(world.root.exists("certs.d/docker.io/ca.crt"));
}

TEST_CASE("whoever closes what is kept of theirs holds up nothing") {
    World world;
    give(world.root.write(kHosts, "# theirs\n"), 0644);
    give(world.root / "certs.d/docker.io", 0755);
    const auto want = [&](const std::string& mirror) {
        const WithoutCapabilities as;
        return world.want(desire({"docker.io"}, mirror));
    };
    CHECK(want("mirror.example") == 1);
    give(world.root / "certs.d/docker.io.aside-1", 0700);
    CHECK(want("other.example") == 1);
    CHECK_THAT(world.hosts("docker.io"), Catch::Contains("other.example"));
}

TEST_CASE("a lease on it keeps no file of others in force") {
    World world;
    const std::string file = world.root.write(kHosts, "server = \"https://evil.example\"\n");
    give(file, 0644);
    const auto before = std::signal(SIGIO, SIG_IGN);
    {
        const UniqueFd theirs(::open(file.c_str(), O_RDWR | O_CLOEXEC));
        REQUIRE(::fcntl(theirs.get(), F_SETLEASE, F_WRLCK) == 0);
        const WithoutCapabilities as;
        CHECK(world.want(desire({"docker.io"})) == 1);
        CHECK_THAT(world.hosts("docker.io"), Catch::Contains("mirror.example"));
    }
    std::signal(SIGIO, before);
}

TEST_CASE("what is written while others are given back stays") {
    World world;
    world.want(desire({"docker.io"}));
    const files::CertsTree tree(world.root / "certs.d");
    const auto observed = tree.observe("docker.io");
    REQUIRE(observed.isKnown());
    world.root.write(kHosts, "# newer\n");
    RegistryClaims claims(tree, StateDir(world.root / "state"));
    REQUIRE(claims.load());
    ReleaseHosts release;
    release.directory = "docker.io";
    CHECK_FALSE(claims.release(release, observed.value()));
    CHECK(world.hosts("docker.io") == "# newer\n");
    world.want(desire({}));
    CHECK(world.hosts("docker.io") == "# newer\n");
}

TEST_CASE("nothing is done below a directory in whose place another user may put another") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# root's\n");
    world.root.write("certs.d/docker.io/hosts.toml", "# root's\n");
    give(world.root / "", 0755);
    CHECK(world.want(desire({"docker.io"}, "mirror.example", UnmanagedPolicy::Prune)) == 0);
    REQUIRE(world.keeper->treeProblem());
    CHECK_THAT(world.keeper->treeProblem()->text(),
               Catch::Contains("could put another in its place"));
    CHECK(world.keeper->reconcile({"docker.io", "quay.io"}, world.now) == 0);
    CHECK(world.keeper->due() > world.now.steady);
    CHECK(world.hosts("docker.io") == "# root's\n");
    // Where nothing is to be done there it is nobody's concern.
    CHECK(world.want(desire({})) == 0);
    CHECK_FALSE(world.keeper->treeProblem());
    CHECK(world.want(desire({}, "", UnmanagedPolicy::Prune)) == 0);
    CHECK(world.hosts("quay.io") == "# root's\n");
    give(world.root / "", 0700, 0);
    CHECK(world.want(desire({"docker.io"})) == 1);
    CHECK_FALSE(world.keeper->treeProblem());
    // It may become theirs at any time.
    world.root.write("certs.d/docker.io/hosts.toml", "# drift\n");
    give(world.root / "", 0755);
    CHECK(world.keeper->reconcile({"docker.io"}, world.now) == 0);
    CHECK(world.keeper->treeProblem());
    CHECK(world.hosts("docker.io") == "# drift\n");
}

TEST_CASE("nothing is pruned where another user has come to own what lies above") {
    World world;
    world.root.write("certs.d/quay.io/hosts.toml", "# root's\n");
    world.want(desire({"docker.io"}));
    world.keeper->intents().setDesired(desire({"docker.io"}, "", UnmanagedPolicy::Prune));
    give(world.root / "", 0755);
    CHECK(world.keeper->reconcile({"quay.io"}, world.now) == 0);
    CHECK(world.hosts("quay.io") == "# root's\n");
    CHECK(world.keeper->treeProblem());
    CHECK_FALSE(world.keeper->areWaiting());
}

TEST_CASE("what will be refused is not planned") {
    World world;
    world.keeper->intents().setDesired(desire({"docker.io"}));
    CHECK(world.keeper->preview(world.now).size() == 1);
    give(world.root / "", 0755);
    CHECK(world.keeper->preview(world.now).empty());
    CHECK(world.keeper->treeProblem());
    CHECK(world.keeper->due() > world.now.steady);
}

TEST_CASE("a tree of another user is told, not fought") {
    World world;
    fs::create_directories(world.root / "certs.d");
    give(world.root / "certs.d", 0755);
    const WithoutCapabilities as;
    CHECK(world.want(desire({"docker.io"})) == 0);
    REQUIRE(world.keeper->treeProblem());
    CHECK_THAT(world.keeper->treeProblem()->text(), Catch::Contains("chown root:root"));
    // Whether anything is declared or not.
    CHECK(world.want(desire({}, "", UnmanagedPolicy::Prune)) == 0);
    CHECK(world.keeper->treeProblem());
}

TEST_CASE("links that are planted lead nowhere") {
    World world;
    world.root.write("victim/hosts.toml", "# precious\n");
    world.root.write("certs.d/keep", "");
    fs::create_directory_symlink(world.root / "victim", world.root / "certs.d/docker.io");
    fs::create_directories(world.root / "certs.d/quay.io");
    fs::create_hard_link(world.root / "victim/hosts.toml",
                         world.root / "certs.d/quay.io/hosts.toml");
    fs::create_directories(world.root / "certs.d/ghcr.io");
    fs::create_symlink(world.root / "victim/hosts.toml", world.root / "certs.d/ghcr.io/hosts.toml");
    world.want(desire({"docker.io", "quay.io", "ghcr.io"}));
    for (const char* directory : {"docker.io", "quay.io", "ghcr.io"})
        CHECK_THAT(world.hosts(directory), Catch::Contains("mirror.example"));
    CHECK(world.root.read("victim/hosts.toml") == "# precious\n");
    world.want(desire({}));
    CHECK(world.root.read("victim/hosts.toml") == "# precious\n");
    CHECK(fs::is_symlink(world.root / "certs.d/docker.io"));
    CHECK(fs::is_symlink(world.root / "certs.d/ghcr.io/hosts.toml"));
    CHECK(world.root.read("certs.d/quay.io/hosts.toml") == "# precious\n");
}

TEST_CASE("what others may write is not believed") {
    const TemporaryDirectory root;
    const std::string path = root.write("file", "text");
    CHECK(readWholeFile(path, 100, Writers::RootOnly));
    for (const mode_t mode : {0664, 0646}) {
        give(path, mode, 0);
        const auto read = readWholeFile(path, 100, Writers::RootOnly);
        REQUIRE_FALSE(read);
        CHECK(read.error().remedy() == "chmod go-w " + path);
    }
    give(path, 0644);
    CHECK_FALSE(readWholeFile(path, 100, Writers::RootOnly));
    CHECK(readWholeFile(path, 100));
    CHECK_FALSE(readReferencedFile("/root/ca.crt"));
    // A state that others may write.
    const StateDir state(root / "state");
    REQUIRE(state.ensure());
    give(root / "state", 0770, 0);
    CHECK_THAT(state.ensure().error().text(), Catch::Contains("others"));
    give(root / "state", 0700, 0);
    root.write("state/manifest.json", "{\"owned\": {}}");
    give(root / "state/manifest.json", 0666, 0);
    CHECK_THAT(state.loadManifest().error().text(), Catch::Contains("others may write it"));
}
