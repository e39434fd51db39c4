/// What a peer of the status socket can do to the daemon: nothing.
#include "base/unique_fd.hpp"
#include "http/unix_server.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>

using namespace nodemirror;

namespace {

constexpr uid_t kNobody = 65534;

struct Served {
    TemporaryDirectory directory;
    boost::asio::io_context io;
    size_t size = 1;  ///< of an answer, each of which is another
    http::UnixServer server{io, [this](http::Request) { return answer(); }};

    Served() {
        REQUIRE(server.listen(directory / "status.sock"));
        REQUIRE(::chmod((directory / "status.sock").c_str(), 0666) == 0);
        REQUIRE(::chmod((directory / "").c_str(), 0755) == 0);
    }
    ~Served() { server.stop(); }

    Task<http::Answer> answer() {
        http::Answer out;
        out.body = std::make_shared<const std::string>(size, 'x');
        co_return out;
    }

    UniqueFd connect(uid_t peer = 0) {
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        (directory / "status.sock").copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::seteuid(peer) == 0);
        const int code = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
        REQUIRE(::seteuid(0) == 0);
        REQUIRE(code == 0);
        REQUIRE(::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0);
        return fd;
    }

    void send(const UniqueFd& fd, std::string_view text) {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN) return;
            text.remove_prefix(sent > 0 ? static_cast<size_t>(sent) : 0);
            turn();
        }
        turn();
    }
    void turn() {
        io.restart();
        io.poll();
    }
    /// What comes until the line of the status is there.
    std::string statusLine(const UniqueFd& fd) {
        std::string out;
        while (out.find('\n') == std::string::npos) {
            turn();
            char c = 0;
            const ssize_t got = ::read(fd.get(), &c, 1);
            if (got == 0 || (got < 0 && errno != EAGAIN)) break;
            if (got == 1) out += c;
        }
        return out.substr(0, out.find('\r'));
    }
};

constexpr char kGet[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n";

}  // namespace

TEST_CASE("fields and extensions that are too long are an error of the peer's and end nothing") {
    Served served;
    const std::string chunked = std::string(kGet) + "Transfer-Encoding: chunked\r\n\r\n";
    for (const size_t size : {70UL << 10, 1UL << 20}) {
        const std::string much(size, 'a');
        for (const auto& request :
             {chunked + "0\r\nX: " + much + "\r\n\r\n", chunked + "0\r\n" + much + ": x\r\n\r\n",
              chunked + "1;" + much + "\r\n", kGet + ("X: " + much + "\r\n\r\n")}) {
            const UniqueFd peer = served.connect();
            served.send(peer, request);
            CHECK(served.statusLine(peer) == "HTTP/1.1 400 Bad Request");
        }
    }
    const UniqueFd peer = served.connect();
    served.send(peer, std::string(kGet) + "\r\n");
    CHECK(served.statusLine(peer) == "HTTP/1.1 200 OK");
}

TEST_CASE("one user who takes all places keeps no other out") {
    Served served;
    served.size = 1 << 20;
    std::vector<UniqueFd> slow;
    // None of them waits for a request: they do not read their answers.
    for (int i = 0; i < 200; ++i) {
        slow.push_back(served.connect(kNobody));
        served.send(slow.back(), std::string(kGet) + "\r\n");
    }
    const auto ask = [&](uid_t peer) {
        const UniqueFd fd = served.connect(peer);
        served.send(fd, std::string(kGet) + "\r\n");
        return served.statusLine(fd);
    };
    CHECK(ask(kNobody).empty());
    CHECK_FALSE(ask(1234).empty());
    CHECK(ask(0) == "HTTP/1.1 200 OK");
}

TEST_CASE("answers that nobody reads are bounded, and root is answered all the same") {
    Served served;
    served.size = 30 << 20;
    std::vector<UniqueFd> slow;
    const auto ask = [&](uid_t peer) {
        slow.push_back(served.connect(peer));
        served.send(slow.back(), std::string(kGet) + "\r\n");
        return served.statusLine(slow.back());
    };
    CHECK(ask(kNobody) == "HTTP/1.1 200 OK");
    CHECK(ask(kNobody) == "HTTP/1.1 200 OK");
    CHECK(ask(kNobody) == "HTTP/1.1 503 Service Unavailable");
    CHECK(ask(0) == "HTTP/1.1 200 OK");
    slow.clear();
    served.turn();
    CHECK(ask(kNobody) == "HTTP/1.1 200 OK");
}
