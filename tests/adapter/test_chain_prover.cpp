/// Changes that are proven by a real pull, and what must not count as one.
#include "mirrors/chain_prover.hpp"
#include "support/keeper_world.hpp"
#include "support/lying_registry.hpp"
#include "support/scripted_node.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace nodemirror;

namespace {

/// A registry with a canary, whose mirrors nobody listens at: only what CRI says counts.
struct Proving : World {
    boost::asio::io_context io;
    StateDir state{root / "state"};
    ScriptedContainerd containerd;
    bool ready = true;  ///< CRI is, and reads certs.d
    std::unique_ptr<ChainProver> prover;

    Proving() { startProver(); }
    void startProver() {
        ChainProver::Hooks hooks;
        hooks.reconcile = [this](const std::string& registry) {
            (void)keeper->reconcile({registry}, now);
        };
        hooks.ready = [this] { return ready; };
        hooks.changed = [] {};
        prover = std::make_unique<ChainProver>(io, containerd, *keeper, state, hooks,
                                               std::chrono::milliseconds(0));
        prover->start();
    }
    void want(const std::string& mirror, Fallback fallback = Fallback::None) {
        auto desired = std::make_shared<Desired>(*desire({"fleet.test"}, mirror));
        Registry& registry = desired->registries[0];
        registry.canary = "fleet.test/canary/image:1";
        registry.fallback = fallback;
        registry.mirrors[0].url.scheme = "http";
        keeper->intents().setDesired(desired);
        prover->setDesired(desired);
        (void)keeper->reconcileAll(now);
    }
    /// Runs until it holds; the test's own limit of time ends what never does.
    template <class Condition>
    void until(Condition holds) {
        io.restart();
        while (!holds()) io.run_one();
    }
    std::string knownGood() const {
        const auto proofs = state.loadProofs();
        REQUIRE(proofs);
        const auto found = proofs->find("fleet.test");
        return found == proofs->end() ? "" : found->second.knownGood;
    }
    std::string file() const { return hosts("fleet.test"); }
};

}  // namespace

TEST_CASE("a change that is not in place is proven by no pull") {
    Proving node;
    node.prover->run();
    node.want("127.0.0.1:1");
    node.until([&] { return !node.knownGood().empty(); });
    CHECK(node.knownGood() == node.file());
    // Somebody fights over the file, and it is not our turn.
    const auto fight = [&](int i) {
        node.root.write("certs.d/fleet.test/hosts.toml", "# theirs " + std::to_string(i) + "\n");
        (void)node.keeper->reconcile({"fleet.test"}, node.now);
    };
    for (int i = 0; node.view("fleet.test").state != RegistryState::Contested; ++i) fight(i);
    fight(-1);
    REQUIRE(node.file() == "# theirs -1\n");
    const std::string before = node.knownGood();
    const size_t pulls = node.containerd.pulls.size();
    node.want("127.0.0.2:1");
    node.io.restart();
    node.io.run_for(std::chrono::seconds(1));  // longer than a refused connection takes
    CHECK(node.file() == "# theirs -1\n");
    CHECK(node.containerd.pulls.size() == pulls);
    CHECK(node.knownGood() == before);
    // It is once it is there.
    node.now.steady += std::chrono::minutes(2);
    (void)node.keeper->reconcileDue(node.now);
    REQUIRE_THAT(node.file(), Catch::Contains("127.0.0.2:1"));
    node.until([&] { return node.knownGood() != before; });
    CHECK(node.knownGood() == node.file());
    node.prover->stop();
}

TEST_CASE("a pull that fails while CRI has only begun says nothing against a change") {
    Proving node;
    node.containerd.pullError = "server is not initialized yet";
    node.containerd.slow = true;
    node.prover->run();
    node.want("127.0.0.1:1", Fallback::Upstream);
    node.until([&] { return !node.containerd.pulls.empty(); });
    node.io.run_for(std::chrono::milliseconds(200));
    REQUIRE(node.prover->reasons().size() == 1);
    CHECK(node.prover->reasons()[0].code == "ChangeUnproven");
    CHECK_THAT(node.prover->reasons()[0].message, Catch::Contains("its canary cannot be tried") &&
                                                      Catch::Contains("not initialized yet"));
    CHECK_THAT(node.file(), Catch::Contains("127.0.0.1:1"));
    node.containerd.slow = false;
    node.containerd.pullError.clear();
    node.until([&] { return !node.knownGood().empty(); });
    CHECK(node.prover->reasons().empty());
    CHECK(node.containerd.pulls.size() == 2);
    node.prover->stop();
}

TEST_CASE("a change that is not put in place before its proof is told") {
    Proving node;
    node.prover->run();
    node.want("127.0.0.1:1");
    node.until([&] { return !node.knownGood().empty(); });
    const std::string before = node.file();
    node.ready = false;
    node.want("127.0.0.2:1");
    node.until([&] { return !node.prover->reasons().empty(); });
    CHECK(node.prover->reasons()[0].code == "ChangeUnproven");
    CHECK_THAT(node.prover->reasons()[0].message,
               Catch::Contains("the chain that was last proven stays until"));
    CHECK(node.file() == before);
    node.ready = true;
    node.prover->lookedAgain();
    node.until([&] { return node.knownGood() != before; });
    CHECK(node.prover->reasons().empty());
    CHECK(node.file() == node.knownGood());
    node.prover->stop();
}

TEST_CASE("what another user has is never put in place of a change that failed") {
    Proving node;
    node.root.write("certs.d/fleet.test/hosts.toml", "server = \"http://127.0.0.1:9\"\n");
    for (const std::string path : {"certs.d/fleet.test/hosts.toml", "certs.d/fleet.test"})
        REQUIRE(::chown((node.root / path).c_str(), 1234, 1234) == 0);
    node.containerd.pullError = "not found";
    node.prover->run();
    node.want("127.0.0.1:1");
    // Neither chain has it: and theirs is not tried.
    node.until([&] { return !node.prover->reasons().empty(); });
    CHECK(node.prover->reasons()[0].code == "CanaryFails");
    CHECK(node.containerd.pulls.size() == 1);
    REQUIRE(node.root.exists("certs.d/fleet.test.aside-1/hosts.toml"));
    CHECK(node.keeper->earlierText("fleet.test").empty());
    CHECK_THAT(node.file(), Catch::Contains("127.0.0.1:1"));
    node.prover->stop();
}

TEST_CASE("fallback none gives way to no chain that leads upstream, proven or not") {
    Proving node;
    node.prover->run();
    node.want("127.0.0.1:1", Fallback::Upstream);
    node.until([&] { return !node.knownGood().empty(); });
    const std::string upstream = node.file();
    node.ready = false;
    node.want("127.0.0.1:1");
    CHECK(node.file() != upstream);
    CHECK_THAT(node.file(), Catch::Contains("server = \"http://127.0.0.1:1"));
    // Once it is proven, that is what a change of it gives way to.
    node.ready = true;
    node.prover->lookedAgain();
    node.until([&] { return node.knownGood() == node.file(); });
    node.ready = false;
    node.want("127.0.0.2:1");
    CHECK(node.file() == node.knownGood());
    node.prover->stop();
}

TEST_CASE("what a canary once saw is not needed to begin") {
    Proving node;
    node.root.write("state/proofs.json", "{\"version\":1,");
    node.startProver();
    node.prover->run();
    node.want("127.0.0.1:1");
    CHECK_THAT(node.file(), Catch::Contains("127.0.0.1:1"));
    node.until([&] { return node.root.read("state/proofs.json").size() > 20; });
    CHECK_FALSE(node.knownGood().empty());
    node.prover->stop();
}

TEST_CASE("what a mirror refuses to this process it may give to containerd") {
    Proving node;
    LyingRegistry good(node.io);
    LyingRegistry closed(node.io);
    boost::asio::co_spawn(node.io, good.serve(), boost::asio::detached);
    boost::asio::co_spawn(node.io, closed.serve(), boost::asio::detached);
    good.setAnswers("HTTP/1.1 200 OK\r\nConnection: close\r\nDocker-Content-Digest: sha256:" +
                    std::string(64, 'a') +
                    "\r\nContent-Type: "
                    "application/vnd.oci.image.manifest.v1+json\r\nContent-Length: 2\r\n\r\n");
    closed.setAnswers(
        "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    const std::string host = "127.0.0.1:" + closed.port();
    const bool hasCredentials = GENERATE(true, false);
    node.prover->setContainerd(
        {1, 7, 24}, {}, hasCredentials ? std::set<std::string>{host} : std::set<std::string>());
    node.prover->run();
    node.want("127.0.0.1:" + good.port());
    node.until([&] { return !node.knownGood().empty(); });
    const size_t pulls = node.containerd.pulls.size();
    node.want(host);
    if (hasCredentials) {
        node.until([&] { return node.knownGood().find(host) != std::string::npos; });
        CHECK(node.containerd.pulls.size() > pulls);
        CHECK_THAT(node.file(), Catch::Contains(host));
    } else {
        const auto rejected = [&] {
            const auto reasons = node.prover->reasons();
            return !reasons.empty() && reasons[0].code == "ChangeRolledBack";
        };
        node.until(rejected);
        CHECK(node.containerd.pulls.size() == pulls);
        CHECK_THAT(node.file(), !Catch::Contains(host));
    }
    node.prover->stop();
    good.stop();
    closed.stop();
}

TEST_CASE("a chain is judged in the order that is in place") {
    Proving node;
    LyingRegistry good(node.io);
    LyingRegistry bad(node.io);
    boost::asio::co_spawn(node.io, good.serve(), boost::asio::detached);
    boost::asio::co_spawn(node.io, bad.serve(), boost::asio::detached);
    const auto answers = [](const std::string& digest) {
        return "HTTP/1.1 200 OK\r\nConnection: close\r\nDocker-Content-Digest: " + digest +
               "\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n"
               "Content-Length: 2\r\n\r\n";
    };
    good.setAnswers(answers("sha256:" + std::string(64, 'a')));
    bad.setAnswers(answers("sha256:none"));  // no pull by a tag comes past it
    auto desired = std::make_shared<Desired>(*desire({"fleet.test"}, "127.0.0.1:" + bad.port()));
    Registry& registry = desired->registries[0];
    registry.canary = "fleet.test/canary/image:1";
    registry.mirrors.push_back(registry.mirrors[0]);
    registry.mirrors[1].url.host = "127.0.0.1:" + good.port();
    for (auto& mirror : registry.mirrors) mirror.url.scheme = "http";
    const bool healthFirst = GENERATE(true, false);
    node.keeper->intents().setDesired(desired);
    if (healthFirst) {
        OrderedRegistry ordered;
        ordered.registry = registry;
        ordered.reason = "the first is down";
        std::swap(ordered.registry.mirrors[0], ordered.registry.mirrors[1]);
        (void)node.keeper->intents().setOrder("fleet.test", ordered);
    }
    node.prover->setContainerd({1, 7, 24}, {}, {});
    node.prover->setDesired(desired);
    (void)node.keeper->reconcileAll(node.now);
    node.prover->run();
    const auto told = [&] { return !node.prover->reasons().empty(); };
    node.until([&] { return !node.knownGood().empty() || told(); });
    CHECK(node.knownGood().empty() != healthFirst);
    CHECK(told() != healthFirst);
    // What passed is what is returned to, and it is proven for what is declared.
    if (healthFirst) {
        CHECK(node.knownGood() == node.file());
        CHECK(node.knownGood().find(good.port()) < node.knownGood().find(bad.port()));
        const size_t pulls = node.containerd.pulls.size();
        node.prover->setDesired(desired);
        node.io.poll();
        CHECK(node.containerd.pulls.size() == pulls);
    }
    if (!healthFirst)
        CHECK_THAT(node.prover->reasons()[0].message,
                   Catch::Contains("in header not a valid digest: invalid checksum digest length"));
    node.prover->stop();
    good.stop();
    bad.stop();
}

TEST_CASE("a change that would end every pull is never in place") {
    Proving node;
    LyingRegistry good(node.io);
    LyingRegistry bad(node.io);
    boost::asio::co_spawn(node.io, good.serve(), boost::asio::detached);
    boost::asio::co_spawn(node.io, bad.serve(), boost::asio::detached);
    const auto answers = [](const std::string& digest) {
        return "HTTP/1.1 200 OK\r\nConnection: close\r\nDocker-Content-Digest: " + digest +
               "\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n"
               "Content-Length: 2\r\n\r\n";
    };
    good.setAnswers(answers("sha256:" + std::string(64, 'a')));
    bad.setAnswers(answers("sha256:none"));
    node.prover->setContainerd({1, 7, 24}, {}, {});
    node.prover->run();
    node.want("127.0.0.1:" + good.port());
    node.until([&] { return !node.knownGood().empty(); });
    const std::string proven = node.knownGood();
    const size_t pulls = node.containerd.pulls.size();
    auto desired = std::make_shared<Desired>(*desire({"fleet.test"}, "127.0.0.1:" + bad.port()));
    Registry& registry = desired->registries[0];
    registry.canary = "fleet.test/canary/image:1";
    registry.mirrors.push_back(registry.mirrors[0]);
    registry.mirrors[1].url.host = "127.0.0.1:" + good.port();
    for (auto& mirror : registry.mirrors) mirror.url.scheme = "http";
    node.keeper->intents().setDesired(desired);
    node.prover->setDesired(desired);
    (void)node.keeper->reconcileAll(node.now);
    node.until([&] {
        CHECK(node.file() == proven);
        return !node.prover->reasons().empty() &&
               node.prover->reasons()[0].code == "ChangeRolledBack";
    });
    CHECK(node.file() == proven);
    CHECK(node.containerd.pulls.size() == pulls);
    CHECK_THAT(node.prover->reasons()[0].message,
               Catch::Contains("it was not put in place") &&
                   Catch::Contains("invalid checksum digest length"));
    // What stands in has the order that health gives it, and the text that passed after it.
    auto standIn = node.keeper->standIn("fleet.test");
    REQUIRE(standIn);
    REQUIRE(standIn->mirrors.size() == 1);
    OrderedRegistry ordered;
    ordered.registry = *standIn;
    ordered.registry.mirrors.insert(ordered.registry.mirrors.begin(), registry.mirrors[0]);
    ordered.reason = "it is down";
    const auto order = [&] {
        (void)node.keeper->intents().setStandInOrder("fleet.test", ordered);
        (void)node.keeper->reconcile({"fleet.test"}, node.now);
    };
    order();
    CHECK(node.file().find(good.port()) < node.file().find(bad.port()));
    CHECK(node.file() == node.keeper->intents().standInText("fleet.test"));
    CHECK_THAT(node.view("fleet.test").why,
               Catch::Contains("last proven") && Catch::EndsWith("; it is down"));
    CHECK(node.view("fleet.test").chain.size() == 2);
    ordered.reason.clear();
    order();
    CHECK(node.file() == proven);
    CHECK_FALSE(node.keeper->intents().standInText("other.test"));
    node.prover->stop();
    good.stop();
    bad.stop();
}
