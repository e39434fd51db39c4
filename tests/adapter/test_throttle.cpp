#include "mirrors/throttle.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

using namespace nodemirror;
using Clock = std::chrono::steady_clock;

TEST_CASE("work that is asked for again and again is done once") {
    boost::asio::io_context io;
    int done = 0;
    Throttle throttle(io, [&] { ++done; });
    for (int i = 0; i < 100; ++i) throttle.soon();
    CHECK(done == 0);
    io.run();
    CHECK(done == 1);
    throttle.soon();
    io.restart();
    io.run();
    CHECK(done == 2);
    throttle.soon();
    throttle.cancel();
    io.restart();
    io.run();
    CHECK(done == 2);
}

TEST_CASE("work that is done now is not done once more soon, and rests as long as it should") {
    boost::asio::io_context io;
    std::vector<Clock::time_point> begun;
    constexpr std::chrono::milliseconds kWork{20};
    Throttle throttle(io, [&] {
        begun.push_back(Clock::now());
        while (Clock::now() < begun.back() + kWork) continue;
    });
    throttle.soon();
    throttle.now();
    REQUIRE(begun.size() == 1);
    io.run();
    CHECK(begun.size() == 1);
    throttle.now();
    io.restart();
    io.run();
    REQUIRE(begun.size() == 2);
    CHECK(begun[1] - begun[0] >= 20 * kWork);
}
