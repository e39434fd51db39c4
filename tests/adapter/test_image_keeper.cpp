/// How images are brought, and brought back.
#include "support/running_node.hpp"

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
