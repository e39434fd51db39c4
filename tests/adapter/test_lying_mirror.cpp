/// Mirrors that lie: what they answer is bounded in time and memory, and leads nowhere else.
#include "health/host_health.hpp"
#include "probe/registry_client.hpp"
#include "support/lying_registry.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>

using namespace nodemirror;

namespace {

struct Lies {
    boost::asio::io_context io;
    Resolver resolver{io};
    LyingRegistry registry{io};

    Lies() { boost::asio::co_spawn(io, registry.serve(), boost::asio::detached); }

    RegistryAnswer ask(const std::string& answers,
                       std::chrono::milliseconds whole = std::chrono::seconds(60),
                       uint64_t most = 64 << 10, const std::string& path = "/v2") {
        registry.setAnswers(answers);
        ChainHost host;
        host.scheme = "http";
        host.host = "127.0.0.1:" + registry.port();
        host.path = path;
        ClientOptions options;
        options.registry = "docker.io";
        options.patience.answer = options.patience.body = std::chrono::seconds(5);
        options.patience.whole = whole;
        RegistryClient client(io, resolver, host, "library/nginx", options);
        RegistryClient::Ask what;
        what.kind = "manifests";
        what.object = "latest";
        what.readLimit = what.keepLimit = most;
        RegistryAnswer out;
        bool done = false;
        const auto take = [&](std::exception_ptr failure, RegistryAnswer answer) {
            if (failure) std::rethrow_exception(failure);
            out = std::move(answer);
            done = true;
        };
        boost::asio::co_spawn(io, client.ask(what), take);
        while (!done) io.run_one();
        return out;
    }
};

std::string redirect(const std::string& to) {
    return "HTTP/1.1 307 Temporary Redirect\r\nLocation: " + to + "\r\nContent-Length: 0\r\n\r\n";
}

}  // namespace

TEST_CASE("redirects to link-local addresses are not followed") {
    Lies lies;
    for (const std::string to :
         {"http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/",
          "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/latest/meta-data/",
          "http://[fd00:ec2::254]/latest/meta-data/",
          "http://[64:ff9b::a9fe:a9fe]/latest/meta-data/", "http://[2002:a9fe:a9fe::]/"}) {
        const auto answer = lies.ask(redirect(to));
        CHECK(answer.fault == Fault::Protocol);
        CHECK_THAT(answer.error, Catch::Contains("link-local"));
        CHECK(answer.last().connectedTo.empty());
        CHECK(answer.last().status == 0);
    }
    // A token service there is not asked either.
    const auto answer = lies.ask(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
        "realm=\"http://169.254.169.254/token\"\r\nContent-Length: 0\r\n\r\n");
    CHECK(answer.fault == Fault::Protocol);
    CHECK(answer.last().connectedTo.empty());
}

TEST_CASE("what Go takes for an answer is one") {
    Lies lies;
    const std::string end = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n";
    const auto after = lies.ask(interim + "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + end);
    CHECK(after.fault == Fault::None);
    CHECK(after.status == 200);
    for (int i = 0; i < 5; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
    CHECK(lies.ask(interim + "HTTP/1.1 200 OK\r\n" + end).fault == Fault::Protocol);
    // Of what is said twice the first counts.
    const auto twice = lies.ask(
        "HTTP/1.1 200 OK\r\nDocker-Content-Digest: one\r\nDocker-Content-Digest: two\r\n" + end);
    CHECK(twice.last().headers.at("docker-content-digest") == "one");
    // What Beast refuses and Go does not, or may not, is nobody's fault.
    for (const std::string& answer :
         {std::string("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "HTTP/1.1 200\r\n" + end,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end}) {
        CAPTURE(answer);
        const auto unread = lies.ask(answer);
        CHECK(unread.fault == Fault::Unparsed);
        CHECK(judgeProbe(unread.last(), "/v2").unknown);
    }
    CHECK(lies.ask("SSH-2.0-OpenSSH_9.2\r\n").fault == Fault::Protocol);
}

TEST_CASE("what comes behind an answer is no answer to the next question") {
    Lies lies;
    const auto answer = lies.ask(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:@PORT@/there\r\n"
        "Content-Length: 0\r\n\r\n{\"errors\": [\"a body behind HEAD\"]}\n====\n"
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    CHECK(answer.fault == Fault::None);
    CHECK(answer.status == 200);
    CHECK(lies.registry.asked() == 2);
}

TEST_CASE("a token service is followed to where it went") {
    Lies lies;
    const std::string close = "Connection: close\r\n\r\n";
    const std::string challenge =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
        "realm=\"http://127.0.0.1:@PORT@/token\"\r\nContent-Length: 0\r\n" +
        close;
    const std::string moved =
        "HTTP/1.1 301 Moved\r\nLocation: /new\r\nContent-Length: 0\r\n" + close;
    const std::string token =
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n" + close + "{\"token\":\"t\"}";
    const std::string found = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + close + "{}";
    const std::string next = "\n====\n";
    const auto answer = lies.ask(challenge + next + moved + next + token + next + found);
    CHECK(answer.ok());
    CHECK(answer.exchanges.size() == 4);
    const auto away = lies.ask(challenge + next + redirect("http://169.254.169.254/token"));
    CHECK(away.fault == Fault::Protocol);
    CHECK(away.last().connectedTo.empty());
}

TEST_CASE("redirects lead to http and https alone, and end") {
    Lies lies;
    for (const std::string to : {"file:///etc/shadow", "gopher://127.0.0.1/", "unix:/run/x"}) {
        const auto answer = lies.ask(redirect(to));
        CHECK(answer.fault != Fault::None);
        CHECK(lies.registry.asked() <= 2);
    }
    const auto again = lies.ask(redirect("http://user:it's:hunter2@127.0.0.1:@PORT@/again"));
    CHECK(again.fault == Fault::Protocol);
    CHECK_THAT(again.error, Catch::Contains("/again") && !Catch::Contains("hunter2"));
    CHECK(lies.registry.asked() == 11);
    CHECK(lies.ask(redirect("http://127.0.0.1:@PORT@/again"), std::chrono::milliseconds(0)).fault ==
          Fault::Hang);
    CHECK(lies.registry.asked() == 1);
}

TEST_CASE("what stands in and behind the chunks of a body is bounded") {
    Lies lies;
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const size_t size : {60UL << 10, 70UL << 10, 16UL << 20}) {
        CAPTURE(size);
        const std::string much(size, 'a');
        for (const auto& rest : {"0\r\nX: " + much + "\r\n\r\n", "0\r\n" + much + ": x\r\n\r\n",
                                 "1;" + much + "\r\nb\r\n0\r\n\r\n", "1;" + much}) {
            const auto answer = lies.ask(head + rest);
            CHECK(answer.last().body.size() <= 1);
            if (size > (64UL << 10)) CHECK_FALSE(answer.last().bodyComplete);
        }
    }
}

TEST_CASE("of redirects no body is kept, and of refusals not much") {
    Lies lies;
    const std::string much(2 << 20, 'x');
    const std::string length = "Content-Length: " + std::to_string(much.size()) + "\r\n\r\n" + much;
    const auto answer =
        lies.ask("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:@PORT@/on\r\n" +
                     length + "\n====\nHTTP/1.1 404 Not Found\r\n" + length,
                 std::chrono::seconds(60), 4 << 20);
    REQUIRE(answer.exchanges.size() == 2);
    CHECK(answer.exchanges[0].body.empty());
    CHECK(answer.status == 404);
    CHECK(answer.last().body.size() == (64 << 10));
    CHECK(lies.ask("HTTP/1.1 200 OK\r\n" + length, std::chrono::seconds(60), 4 << 20)
              .last()
              .body.size() == much.size());
}

TEST_CASE("a token is no way to send another header, or another request") {
    Lies lies;
    const auto answer = lies.ask(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
        "realm=\"http://127.0.0.1:@PORT@/token\"\r\nContent-Length: 0\r\n\r\n\n====\n"
        "HTTP/1.1 200 OK\r\n\r\n{\"token\": \"a\\r\\nX-Injected: b\"}");
    CHECK(answer.fault == Fault::Protocol);
    CHECK_THAT(answer.error, Catch::Contains("invalid header field value for \"Authorization\""));
    CHECK(lies.registry.asked() == 2);
}

TEST_CASE("a path is no way to send another request") {
    Lies lies;
    const auto answer = lies.ask("HTTP/1.1 200 OK\r\n\r\n{}", std::chrono::seconds(60), 64 << 10,
                                 "/x HTTP/1.1\r\nHost: a\r\n\r\nPOST /admin HTTP/1.1\r\nX: /v2");
    CHECK(answer.fault == Fault::Protocol);
    CHECK_THAT(answer.error, Catch::Contains("invalid control character in URL"));
    CHECK(lies.registry.asked() == 0);
}

TEST_CASE("bodies and headers are bounded, and nothing is unpacked") {
    Lies lies;
    const std::string much(4 << 20, 'x');
    const auto endless = lies.ask("HTTP/1.1 200 OK\r\n\r\n" + much);
    CHECK(endless.last().body.size() <= (64 << 10));
    CHECK(endless.last().bodySize <= (64 << 10));
    const auto packed = lies.ask(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n"
        "\r\n\x1f\x8b\x08\x01");
    CHECK(packed.last().bodySize == 4);
    const auto header = lies.ask("HTTP/1.1 200 OK\r\nX: " + much + "\r\n\r\n");
    CHECK(header.fault != Fault::None);
    std::string headers = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 20000; ++i) headers += "X-" + std::to_string(i) + ": y\r\n";
    CHECK(lies.ask(headers + "\r\n").fault != Fault::None);
}
