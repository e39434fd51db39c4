#pragma once

#include "base/result.hpp"

#include <functional>
#include <string>

namespace nodemirror::cli {

struct DaemonAnswer {
    unsigned status = 0;
    std::string body;
};

/// One HTTP request to the daemon's status socket. An Error: the daemon cannot be reached, or did
/// not answer within `seconds`. After five seconds without an answer `whenSlow` is called, once.
Result<DaemonAnswer> askDaemon(const std::string& socket, const std::string& method,
                               const std::string& target, int seconds,
                               const std::function<void()>& whenSlow);

}  // namespace nodemirror::cli
