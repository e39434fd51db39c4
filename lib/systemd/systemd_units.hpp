#pragma once

#include "ports/units.hpp"
#include "systemd/bus.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror::systemd {

/// systemd over its D-Bus API (org.freedesktop.systemd1(5)). Connects when first used and again
/// after the bus broke.
class SystemdUnits : public Units {
  public:
    explicit SystemdUnits(boost::asio::io_context& io) : io_(io) {}

    /// Called when a unit whose state was asked for once has another state.
    void onChange(std::function<void()> handler) { changed_ = std::move(handler); }

    Task<Result<ObservedUnit>> state(std::string unit) override;
    Task<RestartAnswer> restart(std::string unit) override;
    /// The environment that a service's unit gives it, as NAME=VALUE: Environment=, then what its
    /// EnvironmentFile= files say now.
    Task<Result<std::vector<std::string>>> environment(std::string unit);
    /// All processes that systemd knows of. It looks them up itself (GetUnitProcesses), so that the
    /// caller needs to see nothing of /proc.
    Task<Result<std::vector<ObservedProcess>>> processes();
    /// Drops the connection: calls under way are given up with whoever made them.
    void stop();

  private:
    static constexpr std::chrono::seconds kCall{10};
    Task<Result<std::string>> startRestart(std::shared_ptr<Bus> bus, std::string unit,
                                           RestartAnswer* answer);
    Result<std::shared_ptr<Bus>> bus();
    Result<Message> request(Bus& bus, const char* path, const char* interface, const char* method);
    Result<Message> managerRequest(Bus& bus, const char* method);
    Task<Result<std::string>> loadedPath(std::shared_ptr<Bus> bus, std::string unit);
    Task<Result<std::string>> property(std::shared_ptr<Bus> bus, std::string path,
                                       std::string name);
    Task<Result<Message>> serviceProperty(std::shared_ptr<Bus> bus, std::string path,
                                          std::string name);
    Task<Result<std::vector<std::string>>> activeUnits();
    Task<Result<std::vector<ObservedProcess>>> processesOf(std::string unit);
    Task<Result<void>> mainProcess(std::shared_ptr<Bus> bus, std::string path, ObservedUnit& out);
    Task<Result<void>> subscribe(std::shared_ptr<Bus> bus);
    Task<Result<std::string>> jobResult(std::shared_ptr<Bus> bus, std::string job);
    void onJobRemoved(sd_bus_message* message);
    void onOwnerChanged(sd_bus_message* message);
    bool isFromSystemd(sd_bus_message* message) const;
    Task<void> follow(std::shared_ptr<Bus> bus, std::string path);

    boost::asio::io_context& io_;
    std::shared_ptr<Bus> bus_;
    std::chrono::steady_clock::time_point connectAgain_;  ///< where the bus was silent
    bool subscribed_ = false;
    bool stopped_ = false;
    std::string systemd_;  ///< the unique name that it has on the bus
    Slot jobSignals_;
    Slot ownerSignals_;
    std::function<void()> changed_;
    std::function<void(sd_bus_message*)> changeHandler_;
    std::map<std::string, Slot> unitSignals_;  ///< by the unit's path
    std::function<void(sd_bus_message*)> jobHandler_;
    std::function<void(sd_bus_message*)> ownerHandler_;
    int restarting_ = 0;
    /// By job path, of all jobs that ended while a restart is under way.
    std::map<std::string, std::string> jobResults_;
    std::map<std::string, std::shared_ptr<boost::asio::steady_timer>> jobWaits_;
};

}  // namespace nodemirror::systemd
