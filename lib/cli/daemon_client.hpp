#pragma once

#include "base/result.hpp"

#include <string>

namespace nodemirror::cli {

struct DaemonAnswer {
    unsigned status = 0;
    std::string body;
};

/// One HTTP request to the daemon's status socket. An Error: the daemon cannot be reached, or did
/// not answer within `seconds`.
Result<DaemonAnswer> askDaemon(const std::string& socket, const std::string& method,
                               const std::string& target, int seconds);

}  // namespace nodemirror::cli
