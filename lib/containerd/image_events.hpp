#pragma once

#include "containerd/grpc_call.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

namespace nodemirror {

/// Streams containerd's image events of namespace k8s.io until the stream ends; gives its status.
/// `changed` runs on the io_context: once when the stream is up, then for every event.
boost::asio::awaitable<grpc::Status> streamImageEvents(boost::asio::io_context& io,
                                                       CallsUnderWay& calls,
                                                       std::shared_ptr<grpc::Channel> channel,
                                                       std::function<void()> changed);

}  // namespace nodemirror
