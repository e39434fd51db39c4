/// How images are brought, and brought back.
#include "support/running_node.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

using namespace nodemirror;

namespace {

ImagePlan missing(const std::string& name) {
    ImagePlan plan;
    plan.missing.resize(1);
    plan.missing[0].image.name = name;
    plan.missing[0].reason = "the test wants it";
    return plan;
}

}  // namespace

TEST_CASE("an image that cannot be pulled is due again, and one that came otherwise is not") {
    Node node;
    ImageKeeper keeper(node.io, node.containerd, [] {});
    node.containerd.pullError = "no such host";
    finish(node.io, keeper.apply(missing("a.example/x:1")));
    REQUIRE(node.containerd.pulls.size() == 1);
    CHECK(keeper.due() > std::chrono::steady_clock::now());
    CHECK_THAT(keeper.error("a.example/x:1"), Catch::Contains("no such host"));
    // Not before its time.
    finish(node.io, keeper.apply(missing("a.example/x:1")));
    CHECK(node.containerd.pulls.size() == 1);
    SECTION("somebody brought it") {
        finish(node.io, keeper.apply(ImagePlan()));
        CHECK(keeper.due() == SteadyTime());
    }
    SECTION("it is being pulled") {
        keeper.forgetFailures();
        node.containerd.pullError.clear();
        bool duringPull = true;
        auto apply = [&]() -> Task<void> {
            auto task = keeper.apply(missing("a.example/x:1"));
            co_await std::move(task);
            duringPull = keeper.due() != SteadyTime();
        };
        finish(node.io, apply());
        CHECK_FALSE(duringPull);
        CHECK(keeper.due() == SteadyTime());
    }
}

TEST_CASE("images are pulled two at a time, those that failed last, and pause images at once") {
    struct Slow : ScriptedContainerd {
        boost::asio::io_context& io;
        size_t now = 0, most = 0;
        explicit Slow(boost::asio::io_context& loop) : io(loop) {}
        Task<Result<void>> pull(std::string name, std::chrono::seconds) override {
            pulls.push_back(name);
            most = std::max(most, ++now);
            boost::asio::steady_timer timer(io, std::chrono::milliseconds(1));
            auto wait = timer.async_wait(boost::asio::use_awaitable);
            co_await std::move(wait);
            --now;
            if (name == "r.test/bad:1") co_return Error("pull", name, "not found");
            bring(name);
            co_return Result<void>();
        }
    };
    Node node;
    Slow containerd(node.io);
    size_t ended = 0;
    ImageKeeper keeper(node.io, containerd, [&] { ++ended; });
    ImagePlan plan;
    for (const char* name : {"bad", "a", "b", "c", "pause1", "pause2"}) {
        plan.missing.push_back(missing("r.test/" + std::string(name) + ":1").missing[0]);
        plan.missing.back().image.pause = name[0] == 'p';
    }
    using Names = std::vector<std::string>;
    finish(node.io, keeper.apply(plan));
    CHECK(containerd.pulls ==
          Names{"r.test/bad:1", "r.test/a:1", "r.test/pause1:1", "r.test/pause2:1"});
    CHECK(containerd.most == 4);
    CHECK(ended == 4);
    containerd.pulls.clear();
    plan.missing.erase(plan.missing.begin() + 1);
    plan.missing.resize(3);
    // It is due again, and not the first one for that.
    while (std::chrono::steady_clock::now() <= keeper.due()) continue;
    finish(node.io, keeper.apply(plan));
    CHECK(containerd.pulls == Names{"r.test/b:1", "r.test/c:1"});
    finish(node.io, keeper.apply(missing("r.test/bad:1")));
    CHECK(containerd.pulls.back() == "r.test/bad:1");
    CHECK_FALSE(keeper.busy());
}

TEST_CASE("an image that waits for the pulls of others is not due") {
    struct Stuck : ScriptedContainerd {
        boost::asio::steady_timer released;
        explicit Stuck(boost::asio::io_context& io)
            : released(io, boost::asio::steady_timer::time_point::max()) {}
        Task<Result<void>> pull(std::string name, std::chrono::seconds) override {
            if (name == "r.test/bad:1") co_return Error("pull", name, "not found");
            boost::system::error_code ignored;
            auto wait = released.async_wait(
                boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            co_await std::move(wait);
            co_return Error("pull", name, "cut off");
        }
    };
    Node node;
    Stuck containerd(node.io);
    ImageKeeper keeper(node.io, containerd, [] {});
    finish(node.io, keeper.apply(missing("r.test/bad:1")));
    CHECK(keeper.due() > SteadyTime());
    ImagePlan plan = missing("r.test/bad:1");
    for (const char* name : {"r.test/a:1", "r.test/b:1"})
        plan.missing.push_back(missing(name).missing[0]);
    SteadyTime meanwhile = SteadyTime::max();
    const auto look = [&]() -> Task<void> {
        auto task = keeper.apply(plan);
        co_await std::move(task);
        meanwhile = keeper.due();
        containerd.released.cancel();
    };
    finish(node.io, look());
    CHECK(meanwhile == SteadyTime());
    CHECK(keeper.due() > SteadyTime());
}

TEST_CASE("an image that somebody removes again and again is not brought back at once for ever") {
    Node node;
    ImageKeeper keeper(node.io, node.containerd, [] {});
    const auto removed = [&](bool pause) {
        node.containerd.images.clear();
        auto plan = missing("a.example/x:1");
        plan.missing[0].image.pause = pause;
        finish(node.io, keeper.apply(std::move(plan)));
        return node.containerd.pulls.size();
    };
    CHECK(removed(false) == 1);
    CHECK(removed(false) == 2);
    CHECK(removed(false) == 3);
    CHECK(removed(false) == 3);
    CHECK_THAT(keeper.error("a.example/x:1"), Catch::Contains("removed it soon"));
    CHECK(keeper.due() > std::chrono::steady_clock::now() + std::chrono::seconds(60));
    keeper.forgetFailures();  // a person asks
    CHECK(removed(false) == 4);
    CHECK(removed(true) == 5);
    CHECK(removed(true) == 6);
}

TEST_CASE("a name that asks for a digest is given to nothing else") {
    Node node;
    ImageKeeper keeper(node.io, node.containerd, [] {});
    const std::string name = "a.example/pause@sha256:aaa";
    ImagePlan plan = missing(name);
    plan.missing[0].image.sources = {"m.example/pause:1"};
    node.containerd.bring("m.example/pause:1");
    node.containerd.pullError = "no such host";
    SECTION("of another digest") {
        node.containerd.images["m.example/pause:1"].digest = "sha256:bbb";
        finish(node.io, keeper.apply(plan));
        CHECK(node.containerd.images.count(name) == 0);
        CHECK_THAT(keeper.error(name), Catch::Contains("is sha256:bbb, and the name asks for "
                                                       "sha256:aaa"));
    }
    SECTION("of that digest") {
        node.containerd.images["m.example/pause:1"].digest = "sha256:aaa";
        finish(node.io, keeper.apply(plan));
        CHECK(node.containerd.images.count(name) == 1);
        CHECK(node.containerd.pulls.empty());
    }
}
