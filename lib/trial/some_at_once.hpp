#pragma once

#include "ports/task.hpp"

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>

namespace nodemirror {

/// Runs work(0) to work(count - 1), at most `most` of them at a time, and ends with the last one.
/// One that throws does not keep the others from being done; what it threw is thrown then.
Task<void> someAtOnce(boost::asio::io_context& io, size_t most, size_t count,
                      std::function<Task<void>(size_t)> work);

}  // namespace nodemirror
