#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <set>

namespace nodemirror {

/// The calls that are under way, so that they can be cancelled.
class CallsUnderWay {
  public:
    /// False once stopped.
    bool add(grpc::ClientContext* context) {
        if (stopped_) return false;
        contexts_.insert(context);
        return true;
    }
    void remove(grpc::ClientContext* context) { contexts_.erase(context); }
    void stop() {
        stopped_ = true;
        for (auto* context : contexts_) context->TryCancel();
    }

  private:
    std::set<grpc::ClientContext*> contexts_;
    bool stopped_ = false;
};

/// What one unary call needs to stay alive until gRPC is done with it.
template <class Request, class Response>
struct CallState {
    grpc::ClientContext context;
    Request request;
    Response response;
};

/// Starts a unary call of gRPC's callback API and gives its status on the io_context. `start` takes
/// (context, request, response, callback). The state outlives the call, since the callback holds
/// it.
template <class Request, class Response, class Start>
boost::asio::awaitable<grpc::Status> unaryCall(boost::asio::io_context& io, CallsUnderWay& calls,
                                               std::shared_ptr<CallState<Request, Response>> state,
                                               Start start) {
    auto initiate = [&io, &calls, state, start](auto handler) {
        // std::function needs something that can be copied, and the handler cannot.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto work = std::make_shared<boost::asio::io_context::work>(io);
        auto finish = [&io, &calls, state, shared, work](grpc::Status status) {
            boost::asio::post(io, [&calls, state, shared, work, status] {
                calls.remove(&state->context);
                std::move (*shared)(status);
            });
        };
        if (calls.add(&state->context))
            start(&state->context, &state->request, &state->response, finish);
        else
            finish(grpc::Status(grpc::StatusCode::CANCELLED, "the daemon is stopping"));
    };
    auto task =
        boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(grpc::Status)>(
            std::move(initiate), boost::asio::use_awaitable);
    co_return co_await std::move(task);
}

}  // namespace nodemirror
