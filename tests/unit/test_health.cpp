#include "health/chain_order.hpp"
#include "health/host_health.hpp"
#include "support/result_printer.hpp"

#include <catch2/catch.hpp>

using namespace nodemirror;
using namespace std::chrono_literals;

namespace {

Exchange answered(int status, const std::string& challenge = "") {
    Exchange out;
    out.status = status;
    if (!challenge.empty()) out.headers["www-authenticate"] = challenge;
    return out;
}

ProbeOutcome good(Duration latency = 10ms) {
    ProbeOutcome out;
    out.good = true;
    out.latency = latency;
    return out;
}

ProbeOutcome bad() {
    ProbeOutcome out;
    out.error = "refused";
    return out;
}

Mirror mirror(const std::string& host) {
    Mirror out;
    out.url = Url{"https", host, ""};
    return out;
}

Registry registryOf(const std::vector<std::string>& hosts) {
    Registry out;
    out.name = "docker.io";
    for (const auto& host : hosts) out.mirrors.push_back(mirror(host));
    return out;
}

std::vector<std::string> hostsOf(const Registry& registry) {
    std::vector<std::string> out;
    for (const auto& item : registry.mirrors) out.push_back(item.url.host);
    return out;
}

HostStanding standing(bool down, Duration latency = 10ms) {
    HostStanding out;
    out.known = true;
    out.down = down;
    out.latency = latency;
    return out;
}

const SteadyTime kStart{std::chrono::hours(1000)};

}  // namespace

TEST_CASE("only what speaks the registry protocol is healthy") {
    CHECK(judgeProbe(answered(200), "/v2").good);
    CHECK(judgeProbe(answered(401, "Bearer realm=\"https://auth.example/token\""), "/v2").good);
    CHECK(judgeProbe(answered(401, "Basic realm=\"here\""), "/v2").good);
    CHECK(judgeProbe(answered(401, "Digest qop=auth\nBasic realm=\"here\""), "/v2").good);
    CHECK_FALSE(judgeProbe(answered(401), "/v2").good);
    CHECK_FALSE(judgeProbe(answered(401, "Bearer service=\"no realm\""), "/v2").good);
    for (const int status : {204, 301, 302, 400, 403, 404, 429, 500, 502, 503})
        CHECK_FALSE(judgeProbe(answered(status), "/v2").good);
    // Where the host's path has no base nobody knows what is there.
    CHECK(judgeProbe(answered(404), "/mirror").good);
    Exchange hung;
    hung.fault = Fault::Hang;
    hung.error = "no answer";
    CHECK(judgeProbe(hung, "/v2").error == kHangs);
}

TEST_CASE("a host is probed at the base of its registry") {
    CHECK(basePathOf("/v2").path == "/v2/");
    CHECK(basePathOf("/v2/google_containers").path == "/v2/");
    CHECK(basePathOf("/artifactory/api/docker/hub/v2").path == "/artifactory/api/docker/hub/v2/");
    CHECK(basePathOf("/harbor/v2/cache").path == "/harbor/v2/");
    CHECK(basePathOf("/v2x/y").path == "/v2x/y/");
    CHECK_FALSE(basePathOf("/odd").speaksBase);
    CHECK_FALSE(basePathOf("").speaksBase);
    CHECK(basePathOf("").path == "/");
}

TEST_CASE("a mirror falls at once and comes back when it is proven") {
    HostHealth health;
    SteadyTime now = kStart;
    CHECK(health.observe(good(), now, {}));
    CHECK_FALSE(health.down());
    CHECK(health.observe(bad(), now += 1s, {}));
    CHECK(health.down());
    CHECK(health.error() == "refused");
    health.observe(good(), now += 1s, {});
    CHECK(health.state() == HostHealth::State::Healthy);
    CHECK(health.down());
    health.observe(good(), now += 1s, {});
    CHECK(health.down());
    CHECK(health.observe(good(), now += 1s, {}));
    CHECK_FALSE(health.down());
}

TEST_CASE("a mirror that flaps moves a bounded number of times an hour") {
    // Whatever its period, a mirror that is good just long enough to be called back and then fails.
    const auto period = GENERATE(1s, 2s, 5s, 10s, 30s);
    HostHealth health;
    std::deque<SteadyTime> moves;
    size_t most = 0;
    SteadyTime now = kStart;
    for (; now < kStart + 24h; now += period) {
        const bool was = health.down();
        health.observe(was ? good() : bad(), now, {});
        if (health.down() != was) moves.push_back(now);
        while (!moves.empty() && now - moves.front() > 1h) moves.pop_front();
        most = std::max(most, moves.size());
    }
    CHECK(most >= 6);  // it does flap
    CHECK(most <= 14);
}

TEST_CASE("a mirror that was down before a restart stays last until it is proven") {
    HostHealth health;
    health.rememberDown();
    CHECK(health.down());
    SteadyTime now = kStart;
    for (int i = 0; i < HostHealth::kGoodInARow; ++i) health.observe(good(), now += 1s, {});
    CHECK_FALSE(health.down());
}

TEST_CASE("mirrors that are down go last and keep their order otherwise") {
    const Registry registry = registryOf({"a", "b", "c"});
    const HostStanding unknown;
    const auto order = [&](bool a, bool b, bool c) {
        return hostsOf(
            orderByHealth(registry, {standing(a), standing(b), standing(c)}, unknown).registry);
    };
    using Hosts = std::vector<std::string>;
    CHECK(order(false, false, false) == Hosts{"a", "b", "c"});
    CHECK(order(true, false, false) == Hosts{"b", "c", "a"});
    CHECK(order(true, false, true) == Hosts{"b", "a", "c"});
    CHECK(order(false, false, true) == Hosts{"a", "b", "c"});
    CHECK(order(true, true, true) == Hosts{"a", "b", "c"});
    CHECK(orderByHealth(registry, {standing(true), standing(true), standing(true)}, unknown)
              .reason.empty());
    CHECK(orderByHealth(registry, {standing(true), unknown, unknown}, unknown).reason ==
          "a is down and tried last until proven to be back");
}

TEST_CASE("an upstream that is up goes before mirrors that are down") {
    Registry registry = registryOf({"a", "b"});
    auto out = orderByHealth(registry, {standing(true), standing(false)}, standing(false));
    CHECK(hostsOf(out.registry) == std::vector<std::string>{"b", "registry-1.docker.io", "a"});
    CHECK(out.registry.fallback == Fallback::None);
    out = orderByHealth(registry, {standing(true), standing(true)}, standing(false));
    CHECK(hostsOf(out.registry) == std::vector<std::string>{"registry-1.docker.io", "a", "b"});
    // Down, or not known to be up: it stays where it is.
    out = orderByHealth(registry, {standing(true), standing(false)}, standing(true));
    CHECK(hostsOf(out.registry) == std::vector<std::string>{"b", "a"});
    CHECK(out.registry.fallback == Fallback::Upstream);
    registry.name = "_default";
    out = orderByHealth(registry, {standing(true), standing(false)}, standing(false));
    CHECK(out.registry.fallback == Fallback::Upstream);
    registry.name = "docker.io";
    registry.fallback = Fallback::None;
    out = orderByHealth(registry, {standing(true), standing(false)}, standing(false));
    CHECK(hostsOf(out.registry) == std::vector<std::string>{"b", "a"});
}

TEST_CASE("latency reorders only what is clearly faster, and not often") {
    LatencyOrder order;
    SteadyTime now = kStart;
    const auto looks = [&](Duration a, Duration b, int count) {
        std::vector<size_t> last;
        for (int i = 0; i < count; ++i)
            last = order.decide({standing(false, a), standing(false, b)}, now += 30s);
        return last;
    };
    using Order = std::vector<size_t>;
    CHECK(looks(20ms, 18ms, 20) == Order{0, 1});  // not by a quarter
    CHECK(looks(4ms, 1ms, 20) == Order{0, 1});    // not by 5 ms
    CHECK(looks(100ms, 20ms, 2) == Order{0, 1});  // not for long enough
    CHECK(looks(100ms, 20ms, 1) == Order{1, 0});
    CHECK(looks(20ms, 100ms, 10) == Order{1, 0});  // it has only just been changed
    CHECK(looks(20ms, 100ms, 12) == Order{0, 1});
}

TEST_CASE("an answer that cannot be read here forgets no fall") {
    HostHealth health;
    SteadyTime now{1h};
    health.observe(bad(), now, {});
    REQUIRE(health.down());
    ProbeOutcome unread;
    unread.unknown = unread.unread = true;
    unread.error = "bad reason";
    CHECK(health.observe(unread, now += 1s, {}));
    CHECK(health.state() == HostHealth::State::Unknown);
    CHECK(health.error() == "bad reason");
    CHECK(health.down());
    // It answers all the same: it is not last for ever.
    health.observe(unread, now += 1s, {});
    CHECK(health.observe(unread, now += 1s, {}));
    CHECK_FALSE(health.down());
}
