#include "containerd/rpc_channel.hpp"
#include "rpc_server.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>

using namespace nodemirror;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A channel, and a server that does as it is told.
struct World {
    TemporaryDirectory directory;
    boost::asio::io_context io;
    RpcChannel channel{io, directory / "s"};
    std::unique_ptr<RpcServer> server;

    explicit World(RpcScript script) : server(listen(std::move(script))) {}
    ~World() {
        channel.stop();
        io.restart();
        io.run();  // what still reads ends
    }
    std::unique_ptr<RpcServer> listen(RpcScript script) const {
        return std::make_unique<RpcServer>(directory / "s", std::move(script));
    }

    template <class T>
    T wait(Task<T> task) {
        std::optional<T> out;
        const auto done = [&out](std::exception_ptr failure, T value) {
            if (failure) std::rethrow_exception(failure);
            out = std::move(value);
        };
        io.restart();
        boost::asio::co_spawn(io, std::move(task), done);
        while (!out) io.run_one();
        return std::move(*out);
    }
    RpcChannel::Reply call(milliseconds timeout = seconds(60), std::string request = "question") {
        return wait(channel.call("/test.Service/Method", std::move(request), timeout));
    }
};

RpcScript answering(std::string body) {
    RpcScript script;
    script.body = std::move(body);
    return script;
}

}  // namespace

TEST_CASE("a call gives the server's message, in however many frames it comes") {
    const std::string large(3 << 20, 'x');
    World world(answering(rpcMessage(large)));
    for (int i = 0; i < 3; ++i) {
        const auto reply = world.call(seconds(60), std::string(200000, 'q'));
        CHECK(reply.status.ok());
        CHECK(reply.message == large);
    }
    CHECK(world.server->accepted == 1);
}

TEST_CASE("a call that fails gives the server's status") {
    RpcScript script;
    script.status = "5";
    script.message = "image \"a\": not%20found%0a%";
    script.trailersOnly = GENERATE(true, false);
    World world(script);
    const auto reply = world.call();
    CHECK(reply.status.code == RpcStatus::NotFound);
    CHECK(reply.status.message == "image \"a\": not found\n%");
    CHECK(reply.message.empty());
}

TEST_CASE("a stream tells every message, and how it ended") {
    World world(answering(rpcMessage("one") + rpcMessage("") + rpcMessage("three")));
    std::vector<std::string> told;
    const auto message = [&told](std::string_view text) { told.emplace_back(text); };
    const RpcStatus status = world.wait(world.channel.stream("/test.Service/Watch", "", message));
    CHECK(status.ok());
    CHECK(told == std::vector<std::string>{"one", "", "three"});
}

TEST_CASE("a server that takes a call and never answers costs its deadline") {
    RpcScript script;
    script.answers = false;
    World world(script);
    const auto reply = world.call(milliseconds(50));
    CHECK(reply.status.code == RpcStatus::DeadlineExceeded);
    // The connection is as good as before.
    CHECK(world.call(milliseconds(50)).status.code == RpcStatus::DeadlineExceeded);
    CHECK(world.server->accepted == 1);
}

TEST_CASE("a server that accepts and says nothing at all costs the deadline") {
    TemporaryDirectory directory;
    RpcScript script;
    script.raw = std::string(1, '\0');  // the beginning of a frame
    World world(script);
    CHECK(world.call(milliseconds(50)).status.code == RpcStatus::DeadlineExceeded);
}

TEST_CASE("what is no HTTP/2, or no gRPC, is an error") {
    SECTION("HTTP/1") {
        RpcScript script;
        script.raw = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        World world(script);
        CHECK(world.call().status.code == RpcStatus::Unavailable);
    }
    SECTION("compressed") {
        World world(answering(rpcMessage("bytes", 1)));
        CHECK(world.call().status.code == RpcStatus::Internal);
    }
    SECTION("a message that says it is 4 GiB") {
        World world(answering(std::string("\0\xff\xff\xff\xff", 5) + "abc"));
        CHECK(world.call().status.code == RpcStatus::ResourceExhausted);
    }
}

TEST_CASE("a stream that is reset ends with the reason") {
    RpcScript script;
    script.reset = GENERATE(uint32_t{NGHTTP2_CANCEL}, uint32_t{NGHTTP2_REFUSED_STREAM},
                            uint32_t{NGHTTP2_INTERNAL_ERROR});
    World world(script);
    const RpcStatus status = world.call().status;
    CHECK(status.code == (script.reset == NGHTTP2_CANCEL           ? RpcStatus::Cancelled
                          : script.reset == NGHTTP2_REFUSED_STREAM ? RpcStatus::Unavailable
                                                                   : RpcStatus::Internal));
    CHECK_FALSE(status.message.empty());
}

TEST_CASE("a connection that goes away is replaced at the next call") {
    RpcScript script = answering(rpcMessage("answer"));
    script.goAway = true;
    World world(script);
    CHECK(world.call().message == "answer");
    CHECK(world.call().message == "answer");
    CHECK(world.server->accepted == 2);
}

TEST_CASE("a connection that breaks fails its calls, and the next call opens another") {
    RpcScript script;
    script.closes = true;
    World world(script);
    CHECK(world.call().status.code == RpcStatus::Unavailable);
    CHECK(world.call().status.code == RpcStatus::Unavailable);
    CHECK(world.server->accepted == 2);
}

TEST_CASE("without a server there is no call") {
    boost::asio::io_context io;
    TemporaryDirectory directory;
    for (const std::string& path : {directory / "none", std::string(200, 'x')}) {
        RpcChannel channel(io, path);
        std::optional<RpcChannel::Reply> reply;
        const auto done = [&reply](std::exception_ptr, RpcChannel::Reply value) {
            reply = std::move(value);
        };
        io.restart();
        boost::asio::co_spawn(io, channel.call("/a/b", "", seconds(60)), done);
        io.run();
        REQUIRE(reply);
        CHECK(reply->status.code == RpcStatus::Unavailable);
        CHECK(reply->status.message.find(path) != std::string::npos);
    }
}

TEST_CASE("a channel that stops ends its calls") {
    RpcScript script;
    script.answers = false;
    World world(script);
    boost::asio::post(world.io, [&world] { world.channel.stop(); });
    CHECK(world.call().status.code == RpcStatus::Cancelled);
    CHECK(world.call().status.code == RpcStatus::Cancelled);
}
