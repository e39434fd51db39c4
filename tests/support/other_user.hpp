#pragma once

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

/// Files and directories of another user than root.
namespace nodemirror {

inline constexpr uid_t kSomebody = 1234;

inline void give(const std::string& path, mode_t mode, uid_t uid = kSomebody) {
    REQUIRE(::lchown(path.c_str(), uid, uid) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
}

inline uid_t ownerOf(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_uid;
}

}  // namespace nodemirror
