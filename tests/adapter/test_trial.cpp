/// What asks the hosts of chains.
#include "base/digest.hpp"
#include "probe/health_monitor.hpp"
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

TEST_CASE("a digest that is none becomes no part of a request") {
    Served served;
    served.registry.setAnswers(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: x/y\r\nContent-Length: 2\r\n"
        "Docker-Content-Digest: ../../../../admin/purge?all=1\r\n\r\n");
    ChainReading chain;
    chain.registry = "docker.io";
    chain.hosts = {served.host, served.host};
    ImageTrial trial(served.io, served.resolver, TrialOptions());
    const auto findings = finish(
        served.io, trial.run(*parseImageReference("docker.io/library/x:1"), std::move(chain)));
    CHECK(served.registry.asked() == 2);  // a HEAD of each, and no more
    CHECK_FALSE(findings.winner);
    CHECK(findings.hosts[0].digest.empty());
    CHECK(findings.hosts[0].invalidDigest ==
          "\"../../../../admin/purge?all=1\" in header not a valid digest: invalid checksum digest "
          "format");
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

namespace {

const std::string kBroken = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\na la";
const std::string kVain = kBroken + "\n====\n";

/// What a layer of seven bytes comes to that is answered so, and then, where it breaks off, so.
PieceFinding resumed(const std::string& rest, const std::string& first = kBroken) {
    Served served;
    const std::string layer = "a layer";
    const std::string manifest =
        "{\"config\":{\"digest\":\"sha256:" + sha256Hex("{}") +
        "\",\"size\":2,\"mediaType\":\"x/y\"},\"layers\":[{\"digest\":\"sha256:" +
        sha256Hex(layer) + "\",\"size\":7,\"mediaType\":\"x/y\"}]}";
    const std::string type = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    // The manifest too breaks off once, and its rest comes.
    const std::string half = std::to_string(manifest.size() / 2);
    const std::string size = std::to_string(manifest.size());
    served.registry.setAnswers(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n" + type +
        "Docker-Content-Digest: sha256:" + sha256Hex(manifest) + "\r\nContent-Length: " + size +
        "\r\n\r\n\n====\n" + "HTTP/1.1 200 OK\r\nConnection: close\r\n" + type +
        "Content-Length: " + size + "\r\n\r\n" + manifest.substr(0, manifest.size() / 2) +
        "\n====\n" + "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes " +
        half + "-" + std::to_string(manifest.size() - 1) + "/" + size +
        "\r\nContent-Length: " + std::to_string(manifest.size() - manifest.size() / 2) +
        "\r\n\r\n" + manifest.substr(manifest.size() / 2) + "\n====\n" + answer("{}") + "\n====\n" +
        first + "\n====\n" + rest);
    ChainReading chain;
    chain.registry = "docker.io";
    chain.hosts = {served.host};
    ImageTrial trial(served.io, served.resolver, TrialOptions());
    const auto findings = finish(
        served.io, trial.run(*parseImageReference("docker.io/library/x:1"), std::move(chain)));
    CHECK(findings.problem.empty());
    REQUIRE(findings.pieces.size() == 3);
    CHECK(findings.pieces[0].fault == Fault::None);
    return findings.pieces[2];
}

std::string partial(const std::string& range, const std::string& body) {
    return "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes " + range +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("a body that breaks off goes on where containerd would go on") {
    for (const std::string& rest :
         {partial("4-6/7", "yer"), answer("a layer"), partial("4-6/*", "yer"),
          // Twice more by pieces.
          "HTTP/1.1 206 OK\r\nConnection: close\r\nContent-Range: bytes 4-6/7\r\n"
          "Content-Length: 3\r\n\r\ny\n====\n" +
              partial("5-6/7", "er")}) {
        CAPTURE(rest);
        CHECK(resumed(rest).fault == Fault::None);
    }
    CHECK(resumed(kVain + kVain + answer("a layer")).fault == Fault::None);
    // Nothing is missing of what was promised too much of.
    CHECK(resumed("HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\na layer")
              .fault == Fault::None);
    for (const std::string& rest :
         {std::string("HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\n"
                      "Content-Length: 5\r\n\r\nnever"),
          std::string("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n"
                      "Content-Length: 5\r\n\r\nnever"),
          partial("0-6/7", "a layer"),
          // The same again and again: no progress.
          kVain + kVain + kVain + answer("a layer")}) {
        CAPTURE(rest);
        const PieceFinding piece = resumed(rest);
        CHECK(piece.fault == Fault::Truncated);
        CHECK(piece.error == "unexpected EOF");
        CHECK(piece.came == 4);
    }
}

TEST_CASE("a probe that went another way than is set by now is made again") {
    Served served;
    served.registry.setAnswers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    size_t askedAtFirst = 0;
    HealthMonitor* known = nullptr;
    HealthMonitor monitor(served.io, [&](const std::string&, const ProbeOutcome& outcome) {
        CHECK(outcome.good);
        askedAtFirst = served.registry.asked();
        known->stop();
    });
    known = &monitor;
    HealthMonitor::Settings settings;
    settings.interval = std::chrono::hours(1);
    settings.timeout = std::chrono::seconds(30);
    monitor.watch({served.host}, settings);
    while (served.registry.asked() == 0 && served.io.run_one() > 0) continue;
    settings.proxies.http = "http://proxy.example:3128";
    monitor.watch({served.host}, settings);
    while (askedAtFirst == 0 && served.io.run_one() > 0) continue;
    CHECK(askedAtFirst == 2);
}

TEST_CASE("where no thread can be had a lookup fails, and nothing waits") {
    // In a process of its own, which may not have threads.
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit none{0, 0};
        const bool limited = ::setrlimit(RLIMIT_NPROC, &none) == 0 && ::setuid(65534) == 0;
        boost::asio::io_context io;
        Resolver resolver(io);
        bool told = false;
        const auto look = [&]() -> Task<void> {
            auto task = resolver.resolve("mirror.example", std::chrono::minutes(1));
            const auto found = co_await std::move(task);
            told = !found && found.error().reason().find("i/o timeout") == std::string::npos;
        };
        ::alarm(30);
        boost::asio::co_spawn(io, look(), boost::asio::detached);
        io.run();
        ::_exit(limited && told ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
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
