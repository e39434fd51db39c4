#pragma once

#include <grpcpp/grpcpp.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "containerd/grpc_call.hpp"

namespace nodemirror {

/// Streams containerd's image events of namespace k8s.io until the stream ends; gives its status.
/// `changed` runs on the io_context: once when the stream is up, then for every event.
boost::asio::awaitable<grpc::Status> streamImageEvents(boost::asio::io_context& io,
                                                       CallsUnderWay& calls,
                                                       std::shared_ptr<grpc::Channel> channel,
                                                       std::function<void()> changed);

}  // namespace nodemirror
