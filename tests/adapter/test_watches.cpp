#include "agent/watches.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace nodemirror;
namespace fs = std::filesystem;

namespace {

struct Told {
    boost::asio::io_context io{1};
    std::set<std::string> directories;
    int desired = 0;
    int config = 0;

    Watches::Hooks hooks() {
        Watches::Hooks hooks;
        hooks.tree = [this](const files::TreeWatch::Changes& changes) {
            directories.insert(changes.directories.begin(), changes.directories.end());
        };
        hooks.desired = [this] { ++desired; };
        hooks.config = [this] { ++config; };
        hooks.mounts = [] {};
        return hooks;
    }
    /// Runs the loop until a condition holds, or for ten seconds.
    template <class Condition>
    bool until(const Condition& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!condition() && std::chrono::steady_clock::now() < end)
            io.run_one_for(std::chrono::milliseconds(100));
        return condition();
    }
};

}  // namespace

TEST_CASE("each change is told for what it is of") {
    const TemporaryDirectory root;
    root.write("certs.d/docker.io/hosts.toml", "");
    const std::string desired = root.write("etc/desired.yaml", "");
    const std::string config = root.write("containerd/config.toml", "");
    Told told;
    Watches watches(told.io, root / "certs.d", told.hooks());
    watches.setDesired({desired});
    watches.open();
    CHECK(watches.limited().empty());

    root.write("certs.d/docker.io/hosts.toml", "# drift\n");
    CHECK(told.until([&] { return told.directories.count("docker.io") == 1; }));
    CHECK(told.desired + told.config == 0);
    root.write("etc/desired.yaml", "version: 1\n");
    CHECK(told.until([&] { return told.desired > 0; }));
    CHECK(told.config == 0);
    // Of a file that is watched since.
    watches.setConfig({config});
    root.write("containerd/config.toml", "version = 2\n");
    CHECK(told.until([&] { return told.config > 0; }));

    SECTION("a tree that lies elsewhere") {
        CHECK_FALSE(watches.treeMoved());
        fs::rename(root / "certs.d", root / "aside");
        root.write("certs.d/ghcr.io/hosts.toml", "");
        CHECK(watches.treeMoved());
        CHECK_FALSE(watches.treeMoved());
        told.directories.clear();
        root.write("certs.d/ghcr.io/hosts.toml", "# drift\n");
        CHECK(told.until([&] { return told.directories.count("ghcr.io") == 1; }));
    }
    SECTION("nothing after the end, and everything after another beginning") {
        told.directories.clear();
        root.write("certs.d/docker.io/hosts.toml", "# again\n");
        watches.close();
        CHECK(watches.drainTree().directories.empty());
        told.io.run();  // no wait is left
        CHECK(told.directories.empty());
        told.io.restart();
        watches.open();
        root.write("certs.d/docker.io/hosts.toml", "# and again\n");
        CHECK(told.until([&] { return told.directories.count("docker.io") == 1; }));
    }
}
