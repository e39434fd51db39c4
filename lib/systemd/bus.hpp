#pragma once

#include "base/result.hpp"
#include "ports/task.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <systemd/sd-bus.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace nodemirror::systemd {

struct BusUnref {
    void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
struct MessageUnref {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
struct SlotUnref {
    void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using BusPointer = std::unique_ptr<sd_bus, BusUnref>;
using Message = std::unique_ptr<sd_bus_message, MessageUnref>;
using Slot = std::unique_ptr<sd_bus_slot, SlotUnref>;

/// One connection to the system bus, pumped by the io_context: sd_bus_process until it is idle,
/// then wait for what sd_bus_get_events(3) asks and for sd_bus_get_timeout(3). Not usable any more
/// once broken(): make a new one.
class Bus : public std::enable_shared_from_this<Bus> {
  public:
    /// Connects to the system bus (DBUS_SYSTEM_BUS_ADDRESS, or its usual place).
    static Result<std::shared_ptr<Bus>> connect(boost::asio::io_context& io);
    ~Bus();
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// Lives from a call to its reply; sd-bus holds it as userdata.
    struct PendingCall {
        explicit PendingCall(const std::shared_ptr<Bus>& owner);
        ~PendingCall();
        PendingCall(const PendingCall&) = delete;
        PendingCall& operator=(const PendingCall&) = delete;
        /// Hands on the reply, once; null: there will be none.
        void finish(Message reply);

        std::function<void(Message)> done;
        std::weak_ptr<Bus> bus;
    };

    bool broken() const { return broken_; }
    /// Whether it broke for want of any answer: whoever listens there may be frozen.
    bool wasSilent() const { return wasSilent_; }
    /// Called once when the connection breaks by itself.
    void onBroken(std::function<void()> handler) { onBroken_ = std::move(handler); }
    sd_bus* raw() { return bus_.get(); }

    /// Sends a method call and gives the reply, or why there is none: unanswered() where it was
    /// sent and may have been carried out.
    Task<Result<Message>> call(Message request, std::chrono::microseconds timeout);

    /// Calls `handler` for signals that match, for as long as the slot lives.
    Result<Slot> match(const std::string& rule, std::function<void(sd_bus_message*)>* handler);

    /// Processes what is there and waits for more. Called by itself; call it after sending.
    void pump();
    void close();
    /// Gives the connection up: it is broken, and whoever waits for a reply is told.
    void fail();

  private:
    Bus(boost::asio::io_context& io, BusPointer bus);
    void arm();
    void expectAnswer();

    boost::asio::io_context& io_;
    BusPointer bus_;
    boost::asio::posix::stream_descriptor descriptor_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer ready_;
    std::set<PendingCall*> pending_;
    std::function<void()> onBroken_;
    bool broken_ = false;
    bool pumping_ = false;
    bool wasSilent_ = false;
    unsigned generation_ = 0;  ///< of the waits; those of an earlier one do nothing
};

}  // namespace nodemirror::systemd
