#include "base/read_file.hpp"
#include "base/trusted_path.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace nodemirror;
namespace fs = std::filesystem;

TEST_CASE("a path on which others could put another file is refused") {
    const TemporaryDirectory root;
    const std::string file = root.write("a/u/secret", "token");
    const std::string user = root / "a/u";
    REQUIRE(::chmod((root / "").c_str(), 0755) == 0);
    const auto why = [](const std::string& path) {
        const auto ours = refuseOthersOnTheWay(path);
        return ours ? "" : ours.error().text();
    };
    CHECK(why(file).empty());
    CHECK(why(root / "a/../a/./u//secret").empty());
    SECTION("a directory of another user") {
        REQUIRE(::chown(user.c_str(), 1234, 1234) == 0);
        CHECK_THAT(why(file), Catch::Contains(user + ", on the way to it, belongs to uid 1234"));
        // Where nobody else comes through it is root's all the same.
        REQUIRE(::chmod((root / "a").c_str(), 0700) == 0);
        CHECK(why(file).empty());
        // But not around that.
        fs::create_symlink(user, root / "link");
        CHECK(why(root / "link/secret").empty());
        REQUIRE(::chown((root / "").c_str(), 1234, 1234) == 0);
        CHECK_FALSE(why(file).empty());
    }
    SECTION("one that others may write") {
        REQUIRE(::chmod(user.c_str(), 0777) == 0);
        CHECK_THAT(why(file), Catch::Contains("others may write " + user));
        CHECK_THAT(why(file), Catch::Contains("chmod go-w " + user));
        REQUIRE(::chmod(user.c_str(), 01777) == 0);
        CHECK(why(file).empty());
        REQUIRE(::chown(file.c_str(), 1234, 1234) == 0);
        CHECK_FALSE(why(file).empty());
    }
    SECTION("an access list") {
        // Version 2: the owner, uid 1234, the group, the mask and others (acl(5),
        // linux/posix_acl_xattr.h).
        const std::string list(
            "\2\0\0\0"
            "\1\0\7\0\377\377\377\377"
            "\2\0\7\0\322\4\0\0"
            "\4\0\5\0\377\377\377\377"
            "\20\0\7\0\377\377\377\377"
            "\40\0\5\0\377\377\377\377",
            44);
        REQUIRE(::chmod(user.c_str(), 0775) == 0);
        CHECK(why(file).empty());  // of the group root
        REQUIRE(::setxattr(user.c_str(), "system.posix_acl_access", list.data(), list.size(), 0) ==
                0);
        CHECK_THAT(why(file), Catch::Contains("others may write " + user));
    }
    SECTION("a link through one") {
        root.write("b/x", "");
        fs::create_symlink("../a/u/secret", root / "b/token");
        CHECK(why(root / "b/token").empty());
        REQUIRE(::chown(user.c_str(), 1234, 1234) == 0);
        CHECK_THAT(why(root / "b/token"), Catch::Contains("belongs to uid 1234"));
    }
    SECTION("a link of another user") {
        REQUIRE(::chmod((root / "a").c_str(), 01777) == 0);
        fs::create_symlink("u/secret", root / "a/token");
        CHECK(why(root / "a/token").empty());
        REQUIRE(::lchown((root / "a/token").c_str(), 1234, 1234) == 0);
        CHECK_FALSE(why(root / "a/token").empty());
    }
    SECTION("one that another user made, and that nobody can put another in the place of now") {
        fs::create_symlink("u/secret", root / "a/token");
        REQUIRE(::lchown((root / "a/token").c_str(), 1234, 1234) == 0);
        REQUIRE(::chmod((root / "a").c_str(), 0700) == 0);
        CHECK_THAT(why(root / "a/token"), Catch::Contains("is a link that uid 1234 made"));
        REQUIRE(::lchown((root / "a/token").c_str(), 0, 0) == 0);
        CHECK(why(root / "a/token").empty());
    }
    SECTION("from the working directory") {
        const fs::path before = fs::current_path();
        fs::current_path(root / "a");
        CHECK(why("u/secret").empty());
        REQUIRE(::chown(user.c_str(), 1234, 1234) == 0);
        CHECK_FALSE(why("u/secret").empty());
        CHECK(readWholeFile("u/secret", 100, Writers::RootOnly));
        CHECK_FALSE(readWholeFile("u/secret", 100, Writers::RootOnTheWayToo));
        fs::current_path(before);
    }
    SECTION("what others may put there at any moment") {
        REQUIRE(::chown(user.c_str(), 1234, 1234) == 0);
        CHECK_FALSE(why(user + "/nothing").empty());
        fs::create_symlink(user + "/nothing", root / "b");
        CHECK_FALSE(why(root / "b").empty());
        REQUIRE(::chown(user.c_str(), 0, 0) == 0);
        REQUIRE(::chmod(user.c_str(), 01777) == 0);
        CHECK_FALSE(why(user + "/nothing").empty());
    }
    SECTION("what is not there is for whoever opens it") {
        CHECK(why(root / "a/nothing/x").empty());
        fs::create_symlink("loop", root / "a/loop");
        CHECK(why(root / "a/loop").empty());
    }
}
