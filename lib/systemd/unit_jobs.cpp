/// What systemd says by itself, of units that change and jobs that end, and restarts, which wait
/// for that.
#include "systemd/systemd_units.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstring>

namespace nodemirror::systemd {

namespace {

/// A restart waits for the stop of the old process (90 s by default) and the start of the new.
constexpr std::chrono::seconds kJob{200};

}  // namespace

/// The rule of a match names systemd, and sd-bus takes any sender for it that has a unique name,
/// while dbus-daemon hands on what anybody sends to this connection by its name.
bool SystemdUnits::isFromSystemd(sd_bus_message* message) const {
    const char* sender = sd_bus_message_get_sender(message);
    return sender != nullptr && systemd_ == sender;
}

void SystemdUnits::onJobRemoved(sd_bus_message* message) {
    if (restarting_ == 0 || !isFromSystemd(message)) return;
    uint32_t id = 0;
    const char* job = nullptr;
    const char* unit = nullptr;
    const char* result = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0) return;
    const auto waiting = jobWaits_.find(job);
    jobResults_[job] = result;  // the signal may come before the reply that names the job
    if (waiting != jobWaits_.end()) waiting->second->cancel();
}

/// systemd that re-executes comes back under another unique name (it keeps its subscribers).
void SystemdUnits::onOwnerChanged(sd_bus_message* message) {
    const char* sender = sd_bus_message_get_sender(message);
    const char* name = nullptr;
    const char* before = nullptr;
    const char* now = nullptr;
    if (sender == nullptr || std::strcmp(sender, "org.freedesktop.DBus") != 0 ||
        sd_bus_message_read(message, "sss", &name, &before, &now) < 0)
        return;
    systemd_ = now;
    if (changed_) changed_();
}

Task<Result<void>> SystemdUnits::subscribe(std::shared_ptr<Bus> bus) {
    if (subscribed_) co_return Result<void>();
    jobHandler_ = [this](sd_bus_message* message) { onJobRemoved(message); };
    auto slot = bus->match(
        "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
        "interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        &jobHandler_);
    if (!slot) co_return slot.error();
    jobSignals_ = std::move(*slot);
    ownerHandler_ = [this](sd_bus_message* message) { onOwnerChanged(message); };
    auto owner = bus->match(
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
        "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
        "arg0='org.freedesktop.systemd1'",
        &ownerHandler_);
    if (!owner) co_return owner.error();
    ownerSignals_ = std::move(*owner);
    auto message = managerRequest(*bus, "Subscribe");
    if (!message) co_return message.error();
    auto task = bus->call(std::move(*message), kCall);
    const auto reply = co_await std::move(task);
    if (!reply) {
        // systemd may have taken it all the same, and takes it once from a name on the bus.
        bus->fail();
        co_return reply.error();
    }
    // Another connection may have been made meanwhile, and that one has subscribed to nothing.
    if (bus != bus_ || bus->broken())
        co_return Error("subscribe to", "systemd over D-Bus", "the connection is broken");
    const char* sender = sd_bus_message_get_sender(reply->get());
    systemd_ = sender == nullptr ? "" : sender;
    subscribed_ = true;
    co_return Result<void>();
}

/// Hears of the unit's changes from now on. Where that fails they are seen at the next look.
Task<void> SystemdUnits::follow(std::shared_ptr<Bus> bus, std::string path) {
    if (!changed_ || unitSignals_.count(path)) co_return;
    unitSignals_[path] = nullptr;  // whoever comes meanwhile does not ask too
    auto task = subscribe(bus);
    const auto subscribed = co_await std::move(task);
    if (!subscribed || bus->broken()) {
        unitSignals_.erase(path);
        co_return;
    }
    changeHandler_ = [this](sd_bus_message* message) {
        if (isFromSystemd(message)) changed_();
    };
    auto slot = bus->match("type='signal',sender='org.freedesktop.systemd1',path='" + path +
                               "',interface='org.freedesktop.DBus.Properties',"
                               "member='PropertiesChanged'",
                           &changeHandler_);
    if (slot)
        unitSignals_[path] = std::move(*slot);
    else
        unitSignals_.erase(path);
}

Task<Result<std::string>> SystemdUnits::jobResult(std::shared_ptr<Bus> bus, std::string job) {
    if (!jobResults_.count(job) && !bus->broken()) {
        auto timer = std::make_shared<boost::asio::steady_timer>(io_, kJob);
        jobWaits_[job] = timer;
        boost::system::error_code ignored;
        auto wait =
            timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        co_await std::move(wait);
        jobWaits_.erase(job);
    }
    const auto found = jobResults_.find(job);
    if (found == jobResults_.end())
        co_return Error("wait for", job,
                        stopped_        ? "nodemirrord is being stopped"
                        : bus->broken() ? "D-Bus went away before the job ended"
                                        : "systemd did not finish the job in time");
    const std::string result = found->second;
    jobResults_.erase(found);
    co_return result;
}

namespace {

RestartAnswer::End endOf(const std::string& result) {
    if (result == "done") return RestartAnswer::End::Done;
    return result == "failed" ? RestartAnswer::End::Failed : RestartAnswer::End::Unclear;
}

}  // namespace

/// Asks for the restart; gives the path of its job. `answer` says whether there may be one.
Task<Result<std::string>> SystemdUnits::startRestart(std::shared_ptr<Bus> bus, std::string unit,
                                                     RestartAnswer* answer) {
    auto prepare = subscribe(bus);
    const auto subscribed = co_await std::move(prepare);
    if (!subscribed) co_return subscribed.error().during("restart", unit);
    auto message = managerRequest(*bus, "RestartUnit");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "ss", unit.c_str(), "replace");
    auto task = bus->call(std::move(*message), kCall);
    const auto reply = co_await std::move(task);
    if (reply || reply.error().unanswered()) answer->end = RestartAnswer::End::Unclear;
    if (!reply) co_return reply.error().during("restart", unit);
    const char* job = nullptr;
    if (sd_bus_message_read(reply->get(), "o", &job) < 0)
        co_return Error("restart", unit, "systemd's answer cannot be read");
    co_return std::string(job);
}

Task<RestartAnswer> SystemdUnits::restart(std::string unit) {
    RestartAnswer answer;
    const auto connected = bus();
    if (!connected) {
        answer.result = connected.error().text();
        co_return answer;
    }
    ++restarting_;
    auto start = startRestart(*connected, unit, &answer);
    const auto job = co_await std::move(start);
    if (job) {
        auto wait = jobResult(*connected, *job);
        const auto result = co_await std::move(wait);
        if (result) answer.end = endOf(*result);
        answer.result = result ? *result : result.error().text();
    } else {
        answer.result = job.error().text();
    }
    if (--restarting_ == 0) jobResults_.clear();
    co_return answer;
}

}  // namespace nodemirror::systemd
