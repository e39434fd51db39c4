#pragma once

#include "ports/task.hpp"
#include "probe/connection.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <optional>
#include <string>

namespace nodemirror::cli {

/// Runs a command to its end on a loop of its own; gives its exit status.
int runCommand(const std::function<Task<int>(boost::asio::io_context&)>& command);

/// How long a host is waited for, from a --timeout; nothing, after a complaint, where that is no
/// duration.
std::optional<Patience> patienceFrom(const std::string& timeout);

}  // namespace nodemirror::cli
