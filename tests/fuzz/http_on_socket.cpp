#include "http/unix_server.hpp"
#include "support/temporary_directory.hpp"
#include "targets.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>

namespace nodemirror::fuzz {

namespace {

Task<http::Answer> answer(http::Request request) {
    co_return http::problem(404, request.method, request.target);
}

/// A server that lives for the whole run.
struct Server {
    Server() {
        const auto listening = server.listen(directory / "status.sock");
        expect(static_cast<bool>(listening), "the server listens");
    }
    int connect() {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        (directory / "status.sock").copy(address.sun_path, sizeof address.sun_path - 1);
        expect(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
               "the server takes connections");
        expect(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "the socket does not block");
        return fd;
    }

    TemporaryDirectory directory;
    boost::asio::io_context io;
    http::UnixServer server{io, answer};
};

/// Sends all of the input and reads until the server closes the connection.
std::string talk(Server& server, std::string_view input) {
    const int fd = server.connect();
    std::string out;
    bool writing = true;
    while (true) {
        if (writing && !input.empty()) {
            const ssize_t sent = ::send(fd, input.data(), input.size(), MSG_NOSIGNAL);
            if (sent > 0) input.remove_prefix(static_cast<size_t>(sent));
            if (sent < 0 && errno != EAGAIN) input = {};
        }
        if (writing && input.empty()) {
            ::shutdown(fd, SHUT_WR);
            writing = false;
        }
        server.io.restart();
        server.io.poll();
        char buffer[65536];
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got > 0) out.append(buffer, static_cast<size_t>(got));
        if (got == 0 || (got < 0 && errno != EAGAIN)) break;
    }
    ::close(fd);
    return out;
}

}  // namespace

/// Whatever a peer sends, it gets answers in HTTP with JSON in them, or its connection is closed.
void httpOnSocket(std::string_view input) {
    static Server server;
    const std::string answers = talk(server, input);
    if (answers.empty()) return;
    expect(answers.compare(0, 7, "HTTP/1.") == 0, "an answer is HTTP");
    const size_t body = answers.find("\r\n\r\n");
    expect(body != std::string::npos, "an answer has a head");
    const size_t end = answers.find('\n', body + 4);
    const auto json =
        nlohmann::json::parse(answers.substr(body + 4, end - body - 4), nullptr, false);
    expect(json.is_object() && json.contains("status"), "a problem is JSON");
    for (const char c : json["detail"].get<std::string>())
        expect(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= ' ',
               "nothing that acts on a terminal is repeated");
}

}  // namespace nodemirror::fuzz
