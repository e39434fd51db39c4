#pragma once

#include <boost/asio/awaitable.hpp>

namespace nodemirror {

/// What takes time: a coroutine on the one io_context. It runs when it is awaited or spawned.
template <class T>
using Task = boost::asio::awaitable<T>;

}  // namespace nodemirror
