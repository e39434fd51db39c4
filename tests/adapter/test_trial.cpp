/// What asks the hosts of chains.
#include "base/digest.hpp"
#include "support/lying_registry.hpp"
#include "support/result_printer.hpp"
#include "trial/host_probes.hpp"
#include "trial/image_trial.hpp"
#include "trial/some_at_once.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>

#include <optional>
#include <set>

using namespace nodemirror;

namespace {

template <class T>
T finish(boost::asio::io_context& io, Task<T> task) {
    std::optional<T> out;
    std::exception_ptr thrown;
    const auto take = [&](std::exception_ptr failure, T value) {
        thrown = failure;
        out = std::move(value);
    };
    boost::asio::co_spawn(io, std::move(task), take);
    io.restart();
    while (!out && io.run_one() > 0) continue;
    if (thrown) std::rethrow_exception(thrown);
    REQUIRE(out);
    return std::move(*out);
}

Task<bool> noted(Task<void> task) {
    co_await std::move(task);
    co_return true;
}

struct Served {
    boost::asio::io_context io;
    Resolver resolver{io};
    LyingRegistry registry{io};
    ChainHost host;

    Served() {
        boost::asio::co_spawn(io, registry.serve(), boost::asio::detached);
        host.scheme = "http";
        host.host = "127.0.0.1:" + registry.port();
        host.path = "/v2";
        host.capabilities = {"pull", "resolve"};
    }
};

std::string answer(const std::string& body, const std::string& headers = "") {
    return "HTTP/1.1 200 OK\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("some at once are never more than that, and all are done whatever befalls one") {
    boost::asio::io_context io;
    size_t running = 0;
    size_t most = 0;
    std::set<size_t> done;
    const auto work = [&](size_t index) -> Task<void> {
        most = std::max(most, ++running);
        for (size_t i = 0; i <= index % 3; ++i) {
            auto pause = boost::asio::post(io, boost::asio::use_awaitable);
            co_await std::move(pause);
        }
        --running;
        done.insert(index);
        if (index == 5) throw std::runtime_error("the fifth");
    };
    CHECK_THROWS_WITH(finish(io, noted(someAtOnce(io, 4, 20, work))), "the fifth");
    CHECK(done.size() == 20);
    CHECK(most == 4);
    done.clear();
    CHECK(finish(io, noted(someAtOnce(io, 4, 0, work))));
    CHECK(finish(io, noted(someAtOnce(io, 4, 2, work))));
    CHECK(done == std::set<size_t>{0, 1});
}

TEST_CASE("layers that come slowly are not waited for without end") {
    Served served;
    const std::string config = "{}";
    const std::string layer = "a layer";
    const auto descriptor = [](const std::string& of) {
        return "{\"digest\":\"sha256:" + sha256Hex(of) +
               "\",\"size\":" + std::to_string(of.size()) + ",\"mediaType\":\"x/y\"}";
    };
    const std::string manifest = "{\"config\":" + descriptor(config) + ",\"layers\":[" +
                                 descriptor(layer) + "," + descriptor(layer) + "]}";
    const std::string type = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    const std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\n" + type +
                             "Docker-Content-Digest: sha256:" + sha256Hex(manifest) +
                             "\r\nContent-Length: " + std::to_string(manifest.size()) + "\r\n\r\n";
    const auto tryWith = [&](Duration layersFor, bool full) {
        served.registry.setAnswers(head + "\n====\n" + answer(manifest, type) + "\n====\n" +
                                   answer(config) + "\n====\n" + answer(layer) + "\n====\n" +
                                   answer(layer));
        TrialOptions options;
        options.layersFor = layersFor;
        options.full = full;
        ChainReading chain;
        chain.registry = "docker.io";
        chain.hosts = {served.host};
        ImageTrial trial(served.io, served.resolver, std::move(options));
        return finish(served.io,
                      trial.run(*parseImageReference("docker.io/library/x:1"), std::move(chain)));
    };
    const auto whole = tryWith(std::chrono::minutes(2), false);
    CHECK(whole.problem.empty());
    CHECK(whole.layersLeft == 0);
    CHECK(whole.pieces.size() == 4);
    const auto cut = tryWith(Duration::zero(), false);
    CHECK(cut.layersLeft == 2);
    CHECK(cut.pieces.size() == 2);
    CHECK(tryWith(Duration::zero(), true).layersLeft == 0);
}

TEST_CASE("hosts that others may name are not asked for them") {
    Served served;
    served.registry.setAnswers(answer(""));
    NodeFacts facts;
    ChainReading reading;
    reading.registry = reading.directory = "theirs.example";
    reading.hosts = {served.host};
    reading.others = "certs.d/theirs.example belongs to uid 1000";
    facts.registries = {reading};
    Patience patience;
    CHECK(finish(served.io, noted(probeHosts(served.io, served.resolver, facts, patience))));
    CHECK(facts.answers.empty());
    CHECK(served.registry.asked() == 0);
    facts.registries[0].others.clear();
    CHECK(finish(served.io, noted(probeHosts(served.io, served.resolver, facts, patience))));
    CHECK(facts.answers.size() == 1);
    CHECK(served.registry.asked() == 1);
}
