#include "systemd/systemd_units.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstring>

namespace nodemirror::systemd {

namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kManagerPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kUnit[] = "org.freedesktop.systemd1.Unit";
constexpr char kServiceInterface[] = "org.freedesktop.systemd1.Service";
constexpr std::chrono::seconds kSilence{4};
constexpr size_t kEnvironmentFile = 1U << 20;

}  // namespace

Result<std::shared_ptr<Bus>> SystemdUnits::bus() {
    if (stopped_) return Error("call", "systemd over D-Bus", "the client is stopping");
    if (bus_ && !bus_->broken()) return bus_;
    // Not for each unit anew: whoever asks for several would wait as often.
    const auto now = std::chrono::steady_clock::now();
    if (bus_ && bus_->wasSilent() && now < connectAgain_)
        return Error("call", "systemd over D-Bus", "the bus does not answer",
                     "systemctl status dbus");
    connectAgain_ = now + kCall + kSilence;
    jobSignals_.reset();
    ownerSignals_.reset();
    unitSignals_.clear();
    subscribed_ = false;
    auto fresh = Bus::connect(io_);
    if (!fresh) return fresh;
    bus_ = *fresh;
    // The end of a job is told by a signal, which nobody will bring any more.
    bus_->onBroken([this] {
        for (auto& [job, timer] : jobWaits_) timer->cancel();
    });
    return bus_;
}

void SystemdUnits::stop() {
    stopped_ = true;
    jobSignals_.reset();
    ownerSignals_.reset();
    unitSignals_.clear();
    for (auto& [job, timer] : jobWaits_) timer->cancel();
    if (bus_) bus_->close();
}

Result<Message> SystemdUnits::request(Bus& bus, const char* path, const char* interface,
                                      const char* method) {
    sd_bus_message* raw = nullptr;
    const int code =
        sd_bus_message_new_method_call(bus.raw(), &raw, kService, path, interface, method);
    if (code < 0) return Error("call", "systemd over D-Bus", std::strerror(-code));
    return Message(raw);
}

Result<Message> SystemdUnits::managerRequest(Bus& bus, const char* method) {
    return request(bus, kManagerPath, kManager, method);
}

/// LoadUnit gives a path for units that do not exist too; their LoadState says so.
Task<Result<std::string>> SystemdUnits::loadedPath(std::shared_ptr<Bus> bus, std::string unit) {
    auto message = managerRequest(*bus, "LoadUnit");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "s", unit.c_str());
    auto task = bus->call(std::move(*message), kCall);
    auto reply = co_await std::move(task);
    if (!reply) co_return reply.error().during("look up the unit", unit);
    const char* path = nullptr;
    if (sd_bus_message_read(reply->get(), "o", &path) < 0)
        co_return Error("look up the unit", unit, "systemd's answer cannot be read");
    co_return std::string(path);
}

Task<Result<std::string>> SystemdUnits::property(std::shared_ptr<Bus> bus, std::string path,
                                                 std::string name) {
    auto message = request(*bus, path.c_str(), "org.freedesktop.DBus.Properties", "Get");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "ss", kUnit, name.c_str());
    auto task = bus->call(std::move(*message), kCall);
    auto reply = co_await std::move(task);
    if (!reply) co_return reply.error();
    const char* value = nullptr;
    if (sd_bus_message_read(reply->get(), "v", "s", &value) < 0)
        co_return Error("read", name, "systemd's answer cannot be read");
    co_return std::string(value);
}

Task<Result<ObservedUnit>> SystemdUnits::state(std::string unit) {
    auto connected = bus();
    if (!connected) co_return connected.error();
    auto find = loadedPath(*connected, unit);
    const auto path = co_await std::move(find);
    if (!path) co_return path.error();
    auto hear = follow(*connected, *path);
    co_await std::move(hear);
    auto askLoad = property(*connected, *path, "LoadState");
    const auto load = co_await std::move(askLoad);
    if (!load) co_return load.error().during("read the state of", unit);
    auto askActive = property(*connected, *path, "ActiveState");
    const auto active = co_await std::move(askActive);
    if (!active) co_return active.error().during("read the state of", unit);
    ObservedUnit out;
    out.exists = *load != "not-found";
    out.activeState = *active;
    if (out.activeState == "activating") {
        auto askSub = property(*connected, *path, "SubState");
        const auto sub = co_await std::move(askSub);
        if (!sub) co_return sub.error().during("read the state of", unit);
        out.startsAgain = sub->starts_with("auto-restart");  // -queued too, since 254
    }
    // No other unit has a main process.
    constexpr std::string_view kSuffix = ".service";
    if (unit.size() <= kSuffix.size() || !unit.ends_with(kSuffix)) co_return out;
    auto look = mainProcess(*connected, *path, out);
    const auto looked = co_await std::move(look);
    if (!looked) co_return looked.error().during("read the state of", unit);
    co_return out;
}

Task<Result<Message>> SystemdUnits::serviceProperty(std::shared_ptr<Bus> bus, std::string path,
                                                    std::string name) {
    auto message = request(*bus, path.c_str(), "org.freedesktop.DBus.Properties", "Get");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "ss", kServiceInterface, name.c_str());
    auto task = bus->call(std::move(*message), kCall);
    co_return co_await std::move(task);
}

namespace {

/// The lines NAME=VALUE of an environment file (systemd.exec(5)), quotes around a value taken off.
void readEnvironmentFile(const std::string& path, std::vector<std::string>& out) {
    const auto text = readWholeFile(path, kEnvironmentFile);
    if (!text) return;  // systemd lets it be missing, or does not start the unit
    for (std::string line : split(*text, '\n')) {
        line = trim(line);
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        const size_t equals = line.find('=');
        if (equals == std::string::npos) continue;
        std::string value = trim(line.substr(equals + 1));
        const bool quoted = value.size() >= 2 && value.front() == value.back() &&
                            (value.front() == '"' || value.front() == '\'');
        if (quoted) value = value.substr(1, value.size() - 2);
        out.push_back(trim(line.substr(0, equals)) + "=" + value);
    }
}

void readStrings(sd_bus_message* message, std::vector<std::string>& out) {
    const char* text = nullptr;
    if (sd_bus_message_enter_container(message, 'v', "as") < 0 ||
        sd_bus_message_enter_container(message, 'a', "s") < 0)
        return;
    while (sd_bus_message_read(message, "s", &text) > 0) out.emplace_back(text);
}

void readEnvironmentFiles(sd_bus_message* message, std::vector<std::string>& out) {
    if (sd_bus_message_enter_container(message, 'v', "a(sb)") < 0 ||
        sd_bus_message_enter_container(message, 'a', "(sb)") < 0)
        return;
    const char* path = nullptr;
    int optional = 0;
    while (sd_bus_message_read(message, "(sb)", &path, &optional) > 0)
        readEnvironmentFile(path, out);
}

}  // namespace

Task<Result<std::vector<std::string>>> SystemdUnits::environment(std::string unit) {
    auto connected = bus();
    if (!connected) co_return connected.error();
    auto find = loadedPath(*connected, unit);
    const auto path = co_await std::move(find);
    if (!path) co_return path.error();
    std::vector<std::string> out;
    auto askOwn = serviceProperty(*connected, *path, "Environment");
    const auto own = co_await std::move(askOwn);
    if (!own) co_return own.error().during("read the environment of", unit);
    readStrings(own->get(), out);
    auto askFiles = serviceProperty(*connected, *path, "EnvironmentFiles");
    const auto files = co_await std::move(askFiles);
    if (files) readEnvironmentFiles(files->get(), out);
    co_return std::move(out);
}

Task<Result<void>> SystemdUnits::mainProcess(std::shared_ptr<Bus> bus, std::string path,
                                             ObservedUnit& out) {
    const Error unread("read", "the main process", "systemd's answer cannot be read");
    auto askPid = serviceProperty(bus, path, "MainPID");
    const auto pid = co_await std::move(askPid);
    if (!pid) co_return pid.error();
    auto askAgain = serviceProperty(bus, path, "NRestarts");
    const auto again = co_await std::move(askAgain);
    if (!again) co_return again.error();
    uint32_t number = 0;
    uint32_t restarts = 0;
    if (sd_bus_message_read(pid->get(), "v", "u", &number) < 0 ||
        sd_bus_message_read(again->get(), "v", "u", &restarts) < 0)
        co_return unread;
    out.startedAgain = static_cast<int>(restarts);
    if (number == 0) co_return Result<void>();
    auto askStart = serviceProperty(bus, path, "ExecMainStartTimestampMonotonic");
    const auto start = co_await std::move(askStart);
    if (!start) co_return start.error();
    auto askWall = serviceProperty(bus, path, "ExecMainStartTimestamp");
    const auto wall = co_await std::move(askWall);
    if (!wall) co_return wall.error();
    uint64_t micros = 0;
    uint64_t wallMicros = 0;
    if (sd_bus_message_read(start->get(), "v", "t", &micros) < 0 ||
        sd_bus_message_read(wall->get(), "v", "t", &wallMicros) < 0)
        co_return unread;
    out.mainPid = static_cast<int>(number);
    out.started = SteadyTime(std::chrono::microseconds(micros));  // both are CLOCK_MONOTONIC
    out.startedWall = WallTime(std::chrono::microseconds(wallMicros));
    co_return Result<void>();
}

}  // namespace nodemirror::systemd
