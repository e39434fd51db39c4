/// The processes that systemd knows of.
#include "systemd/systemd_units.hpp"

#include <boost/asio/use_awaitable.hpp>

namespace nodemirror::systemd {

Task<Result<std::vector<ObservedProcess>>> SystemdUnits::processes() {
    auto askAll = processesOf("-.slice");
    auto all = co_await std::move(askAll);
    if (all) co_return all;
    // systemd gives up where a group holds a process of another PID namespace (cg_read_pid): then
    // its units are asked one by one.
    auto list = activeUnits();
    const auto units = co_await std::move(list);
    if (!units) co_return units.error();
    std::vector<ObservedProcess> out;
    for (const auto& unit : *units) {
        auto ask = processesOf(unit);
        auto some = co_await std::move(ask);
        if (some) out.insert(out.end(), some->begin(), some->end());
    }
    co_return std::move(out);
}

/// Services and scopes: what holds processes.
Task<Result<std::vector<std::string>>> SystemdUnits::activeUnits() {
    auto connected = bus();
    if (!connected) co_return connected.error();
    auto message = managerRequest(**connected, "ListUnitsByPatterns");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "asas", 1, "active", 2, "*.service", "*.scope");
    auto task = (*connected)->call(std::move(*message), kCall);
    const auto reply = co_await std::move(task);
    if (!reply) co_return Error("list", "the units of systemd", reply.error().reason());
    std::vector<std::string> out;
    const char* name = nullptr;
    if (sd_bus_message_enter_container(reply->get(), 'a', "(ssssssouso)") < 0)
        co_return Error("list", "the units of systemd", "systemd's answer cannot be read");
    while (sd_bus_message_enter_container(reply->get(), 'r', "ssssssouso") > 0) {
        if (sd_bus_message_read(reply->get(), "s", &name) > 0) out.emplace_back(name);
        sd_bus_message_skip(reply->get(), "sssssouso");
        sd_bus_message_exit_container(reply->get());
    }
    co_return std::move(out);
}

Task<Result<std::vector<ObservedProcess>>> SystemdUnits::processesOf(std::string unit) {
    auto connected = bus();
    if (!connected) co_return connected.error();
    auto message = managerRequest(**connected, "GetUnitProcesses");
    if (!message) co_return message.error();
    sd_bus_message_append(message->get(), "s", unit.c_str());
    auto task = (*connected)->call(std::move(*message), kCall);
    const auto reply = co_await std::move(task);
    if (!reply) co_return Error("list the processes of", unit, reply.error().reason());
    std::vector<ObservedProcess> out;
    const char* group = nullptr;
    const char* command = nullptr;
    uint32_t pid = 0;
    if (sd_bus_message_enter_container(reply->get(), 'a', "(sus)") < 0)
        co_return Error("list the processes of", unit, "systemd's answer cannot be read");
    while (sd_bus_message_read(reply->get(), "(sus)", &group, &pid, &command) > 0)
        out.push_back({static_cast<int>(pid), command});
    co_return std::move(out);
}

}  // namespace nodemirror::systemd
