/// What systemd is told of the service.
#include "base/unique_fd.hpp"
#include "support/temporary_directory.hpp"
#include "systemd/notify.hpp"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>

using namespace nodemirror;

TEST_CASE("no text of a status is an assignment to systemd") {
    const TemporaryDirectory root;
    const std::string path = root / "notify";
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    systemd::notifyStatus("Degraded: valid for a\nMAINPID=812\nWATCHDOG=trigger, " +
                          std::string(100'000, 'x'));
    ::unsetenv("NOTIFY_SOCKET");
    char buffer[4096];
    const ssize_t size = ::recv(socket.get(), buffer, sizeof buffer, 0);
    REQUIRE(size > 0);
    const std::string told(buffer, static_cast<size_t>(size));
    CHECK_THAT(told, Catch::StartsWith("STATUS=Degraded: valid for a MAINPID=812"));
    CHECK(told.find('\n') == std::string::npos);
}
