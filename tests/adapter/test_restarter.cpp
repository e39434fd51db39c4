/// When units are restarted, and when not.
#include "support/running_node.hpp"

using namespace nodemirror;

TEST_CASE("restarts of a time to come do not lock the budget until then") {
    Node node;
    Desired desired;
    desired.budget.restarts = 1;
    desired.budget.per = std::chrono::hours(1);
    const auto now = std::chrono::system_clock::now();
    const auto freeIn = [&](std::chrono::minutes ahead) {
        Restarter restarter(node.units, node.state);
        REQUIRE(node.state.saveRestarts({{"x.service", {now + ahead}}}));
        restarter.start();
        restarter.setDesired(desired);
        finish(node.io, restarter.observe("x.service"));
        CHECK(restarter.budgetLeft("x.service") == 0);
        const WallTime free = restarter.freeAt("x.service");
        return free - std::chrono::system_clock::now();
    };
    CHECK(freeIn(std::chrono::hours(24)) <= std::chrono::hours(1));
    CHECK(freeIn(std::chrono::minutes(30)) <= std::chrono::hours(1));
    CHECK(freeIn(std::chrono::minutes(-30)) <= std::chrono::minutes(30));
    // Ahead by less than a period: the clock may be late, and is set forward soon. How long a
    // period is the desired state says.
    desired.budget.per = std::chrono::hours(24);
    Restarter restarter(node.units, node.state);
    REQUIRE(node.state.saveRestarts({{"x.service", {now + std::chrono::hours(5)}}}));
    restarter.start();
    restarter.setDesired(desired);
    finish(node.io, restarter.observe("x.service"));
    const auto last = restarter.view("x.service").lastAt;
    REQUIRE(last);
    CHECK(*last > now + std::chrono::hours(4));
}

TEST_CASE("a restart that may have been made is counted") {
    using Outcome = Restarter::Outcome;
    Node node;
    Restarter restarter(node.units, node.state);
    const Service service{"kubelet.service", true};
    std::vector<Reason> reasons;
    const int all = restarter.budgetLeft(service.unit);
    node.units.asked = false;
    node.units.result = "Access denied";
    CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
    CHECK(restarter.budgetLeft(service.unit) == all);
    node.units.asked = true;
    node.units.result = "no reply";
    CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::Unclear);
    CHECK(restarter.budgetLeft(service.unit) == all - 1);
    CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
    CHECK(node.units.restarts.size() == 2);
}

TEST_CASE("nothing is restarted that cannot be looked at, or that a person stopped") {
    using Outcome = Restarter::Outcome;
    Node node;
    Restarter restarter(node.units, node.state);
    restarter.start();
    const Service service{"kubelet.service", true};
    std::vector<Reason> reasons;
    SECTION("it runs") {
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::Restarted);
        CHECK(node.units.restarts.size() == 1);
    }
    SECTION("systemd cannot be asked") {
        node.units.unit.reset();
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].code == "RestartNotPossible");
        CHECK(node.units.restarts.empty());
    }
    SECTION("it is stopped") {
        node.units.unit->activeState = "inactive";
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::Never);
        CHECK(node.units.restarts.empty());
        // Nothing is owed to it either, whatever its policy.
        const Service never{"kubelet.service", false};
        CHECK(finish(node.io, restarter.restart(never, "x", &reasons)) == Outcome::Never);
        CHECK(reasons.empty());
    }
    SECTION("its restart is never") {
        const Service never{"kubelet.service", false};
        CHECK(finish(node.io, restarter.restart(never, "x", &reasons)) == Outcome::Never);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].code == "RestartNeeded");
        CHECK(node.units.restarts.empty());
    }
    SECTION("the budget is used up, and the reason says until when") {
        Desired desired;
        desired.budget.restarts = 1;
        restarter.setDesired(desired);
        (void)finish(node.io, restarter.restart(service, "x", &reasons));
        CHECK(finish(node.io, restarter.restart(service, "x", &reasons)) == Outcome::NotNow);
        REQUIRE(reasons.size() == 1);
        CHECK(reasons[0].until == restarter.freeAt("kubelet.service"));
        CHECK(node.units.restarts.size() == 1);
    }
}

TEST_CASE("a unit that does not start is not restarted in a loop") {
    Node node;
    Desired desired;
    desired.budget.restarts = 50;
    Restarter restarter(node.units, node.state);
    restarter.setDesired(desired);
    node.units.result = "failed";
    std::vector<Reason> reasons;
    const auto restart = [&] {
        reasons.clear();
        return finish(node.io, restarter.restart(desired.kubelet, "a test", &reasons));
    };
    CHECK(restart() == Restarter::Outcome::Failed);
    for (int i = 0; i < 5; ++i) CHECK(restart() == Restarter::Outcome::NotNow);
    CHECK(node.units.restarts.size() == 1);
    CHECK(restarter.budgetLeft(desired.kubelet.unit) == 49);
    REQUIRE(reasons.size() == 1);
    CHECK(reasons[0].code == "RestartFailed");
    REQUIRE(reasons[0].until);
    CHECK(*reasons[0].until > std::chrono::system_clock::now() + std::chrono::seconds(5));
    // Another unit is another matter.
    node.units.result = "done";
    CHECK(finish(node.io, restarter.restart(desired.containerd, "a test", &reasons)) ==
          Restarter::Outcome::Restarted);
}
