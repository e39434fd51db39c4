#include "containerd/image_events.hpp"

#include "containerd_events.grpc.pb.h"

namespace nodemirror {

namespace events = containerd::services::events::v1;

namespace {

/// gRPC calls this from its own threads; it only posts. It owns itself and goes when the stream is
/// done.
class Reader : public grpc::ClientReadReactor<events::Envelope> {
  public:
    Reader(boost::asio::io_context& io, CallsUnderWay& calls,
           std::shared_ptr<grpc::Channel> channel, std::function<void()> changed,
           std::function<void(grpc::Status)> done)
        : io_(io),
          work_(io),
          calls_(calls),
          stub_(events::Events::NewStub(std::move(channel))),
          changed_(std::move(changed)),
          done_(std::move(done)) {}

    void start() {
        if (!calls_.add(&context_)) {
            finish(grpc::Status(grpc::StatusCode::CANCELLED, "the daemon is stopping"));
            return;
        }
        request_.add_filters("namespace==k8s.io,topic~=\"^/images/\"");
        stub_->async()->Subscribe(&context_, &request_, this);
        StartRead(&envelope_);
        StartCall();
    }

    void OnReadInitialMetadataDone(bool ok) override {
        if (ok) boost::asio::post(io_, changed_);
    }
    void OnReadDone(bool ok) override {
        if (!ok) return;
        boost::asio::post(io_, changed_);
        StartRead(&envelope_);
    }
    void OnDone(const grpc::Status& status) override { finish(status); }

  private:
    void finish(const grpc::Status& status) {
        boost::asio::post(io_, [this, status] {
            calls_.remove(&context_);
            auto done = std::move(done_);
            delete this;
            done(status);
        });
    }

    boost::asio::io_context& io_;
    boost::asio::io_context::work work_;
    CallsUnderWay& calls_;
    std::unique_ptr<events::Events::Stub> stub_;
    std::function<void()> changed_;
    std::function<void(grpc::Status)> done_;
    grpc::ClientContext context_;
    events::SubscribeRequest request_;
    events::Envelope envelope_;
};

}  // namespace

boost::asio::awaitable<grpc::Status> streamImageEvents(boost::asio::io_context& io,
                                                       CallsUnderWay& calls,
                                                       std::shared_ptr<grpc::Channel> channel,
                                                       std::function<void()> changed) {
    auto initiate = [&io, &calls, channel, changed](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto done = [shared](grpc::Status status) { std::move (*shared)(status); };
        auto* reader = new Reader(io, calls, channel, changed, done);
        reader->start();
    };
    auto task =
        boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(grpc::Status)>(
            std::move(initiate), boost::asio::use_awaitable);
    co_return co_await std::move(task);
}

}  // namespace nodemirror
