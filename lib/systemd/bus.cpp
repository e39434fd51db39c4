#include "systemd/bus.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace nodemirror::systemd {

namespace {

constexpr char kDoing[] = "call";
constexpr char kCallee[] = "systemd over D-Bus";
constexpr char kBroken[] = "the connection is broken";
constexpr std::chrono::seconds kReady{10};

Error asError(const sd_bus_error& error) {
    const std::string reason = printable(error.message != nullptr ? error.message : error.name);
    // sd-bus's own, or the broker's, when the callee went away or took too long.
    const bool noReply = sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY) > 0 ||
                         sd_bus_error_has_name(&error, SD_BUS_ERROR_TIMEOUT) > 0;
    return noReply ? Error::unanswered(kDoing, kCallee, reason) : Error(kDoing, kCallee, reason);
}

}  // namespace

Result<std::shared_ptr<Bus>> Bus::connect(boost::asio::io_context& io) {
    sd_bus* raw = nullptr;
    const int code = sd_bus_open_system(&raw);
    BusPointer bus(raw);
    if (code < 0)
        return Error("connect to", "the system D-Bus", std::strerror(-code),
                     "start dbus.service; until then no unit can be restarted");
    auto out = std::shared_ptr<Bus>(new Bus(io, std::move(bus)));
    // A duplicate, so that Asio closes its own and sd-bus keeps its own.
    UniqueFd copy(::fcntl(sd_bus_get_fd(out->bus_.get()), F_DUPFD_CLOEXEC, 0));
    if (!copy) return Error::system("connect to", "the system D-Bus", errno);
    boost::system::error_code error;
    out->descriptor_.assign(copy.get(), error);
    if (error) return Error("connect to", "the system D-Bus", error.message());
    (void)copy.release();
    out->expectAnswer();
    out->pump();
    return out;
}

/// The deadline of a call begins for sd-bus when the bus has let it in, for which it waits 90 s.
void Bus::expectAnswer() {
    ready_.expires_after(kReady);
    ready_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (error || !self || self->broken_ || sd_bus_is_ready(self->bus_.get()) > 0) return;
        self->wasSilent_ = true;
        self->fail();
    });
}

Bus::Bus(boost::asio::io_context& io, BusPointer bus)
    : io_(io), bus_(std::move(bus)), descriptor_(io), timer_(io), ready_(io) {}

Bus::~Bus() { close(); }

void Bus::close() {
    onBroken_ = nullptr;
    broken_ = true;
    ++generation_;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    timer_.cancel();
    ready_.cancel();
    bus_.reset();
}

void Bus::fail() {
    broken_ = true;
    ++generation_;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    timer_.cancel();
    ready_.cancel();
    // No reply will come any more.
    const auto pending = pending_;
    for (PendingCall* call : pending) call->finish(nullptr);
    if (const auto tell = std::exchange(onBroken_, nullptr)) tell();
}

Bus::PendingCall::PendingCall(const std::shared_ptr<Bus>& owner) : bus(owner) {
    owner->pending_.insert(this);
}

Bus::PendingCall::~PendingCall() {
    if (const auto owner = bus.lock()) owner->pending_.erase(this);
}

void Bus::PendingCall::finish(Message reply) {
    const auto tell = std::exchange(done, nullptr);
    if (tell) tell(std::move(reply));
}

void Bus::pump() {
    if (broken_ || pumping_) return;
    pumping_ = true;
    const auto self = shared_from_this();  // a callback may drop the last owner
    int code = 0;
    do {
        code = sd_bus_process(bus_.get(), nullptr);
    } while (code > 0 && !broken_);
    pumping_ = false;
    if (broken_) return;
    if (code < 0)
        fail();
    else
        arm();
}

void Bus::arm() {
    ++generation_;
    const unsigned generation = generation_;
    const std::weak_ptr<Bus> weak = weak_from_this();
    const auto wake = [weak, generation](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || self->generation_ != generation) return;
        if (error == boost::asio::error::operation_aborted) return;
        self->pump();
    };
    const int events = sd_bus_get_events(bus_.get());
    descriptor_.cancel();
    timer_.cancel();
    if (events >= 0 && (events & POLLIN) != 0)
        descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read, wake);
    if (events >= 0 && (events & POLLOUT) != 0)
        descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_write, wake);
    uint64_t timeout = UINT64_MAX;
    if (sd_bus_get_timeout(bus_.get(), &timeout) < 0 || timeout == UINT64_MAX) return;
    // CLOCK_MONOTONIC in microseconds: the clock of std::chrono::steady_clock.
    timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(timeout)));
    timer_.async_wait(wake);
}

namespace {

int onReply(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    static_cast<Bus::PendingCall*>(userdata)->finish(Message(sd_bus_message_ref(message)));
    return 0;
}

void destroyPending(void* userdata) noexcept { delete static_cast<Bus::PendingCall*>(userdata); }

int onSignal(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    (*static_cast<std::function<void(sd_bus_message*)>*>(userdata))(message);
    return 0;
}

}  // namespace

Task<Result<Message>> Bus::call(Message request, std::chrono::microseconds timeout) {
    const auto self = shared_from_this();
    if (broken_) co_return Error(kDoing, kCallee, kBroken);
    auto sent = std::make_shared<bool>(true);
    auto shared = std::make_shared<Message>(std::move(request));
    auto initiate = [self, shared, sent, timeout](auto handler) {
        auto held = std::make_shared<decltype(handler)>(std::move(handler));
        auto pending = std::make_unique<PendingCall>(self);
        pending->done = [self, held](Message reply) {
            auto moved = std::make_shared<Message>(std::move(reply));
            boost::asio::post(self->io_, [held, moved] { std::move (*held)(std::move(*moved)); });
        };
        sd_bus_slot* slot = nullptr;
        const int code = sd_bus_call_async(self->bus_.get(), &slot, shared->get(), onReply,
                                           pending.get(), static_cast<uint64_t>(timeout.count()));
        if (code < 0) {
            *sent = false;
            pending->finish(nullptr);
            return;
        }
        // From here sd-bus owns the state and frees it with the slot, which floats with the bus.
        sd_bus_slot_set_destroy_callback(slot, destroyPending);
        (void)pending.release();
        sd_bus_slot_set_floating(slot, 1);
        sd_bus_slot_unref(slot);
        self->pump();
    };
    auto task = boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Message)>(
        std::move(initiate), boost::asio::use_awaitable);
    Message reply = co_await std::move(task);
    if (!reply && *sent) co_return Error::unanswered(kDoing, kCallee, kBroken);
    if (!reply) co_return Error(kDoing, kCallee, kBroken);
    if (sd_bus_message_is_method_error(reply.get(), nullptr) > 0)
        co_return asError(*sd_bus_message_get_error(reply.get()));
    co_return std::move(reply);
}

Result<Slot> Bus::match(const std::string& rule, std::function<void(sd_bus_message*)>* handler) {
    sd_bus_slot* slot = nullptr;
    const int code =
        sd_bus_add_match_async(bus_.get(), &slot, rule.c_str(), onSignal, nullptr, handler);
    if (code < 0) return Error("watch", "signals of systemd", std::strerror(-code));
    pump();
    return Slot(slot);
}

}  // namespace nodemirror::systemd
