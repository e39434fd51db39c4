#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace nodemirror::systemd {

/// sd_notify(3): tells systemd of this service's state; nothing where it is not run by systemd.
void notify(const std::string& state);

/// Sets the status that `systemctl status` shows: one line, whatever the text holds.
void notifyStatus(const std::string& text);

/// How often the watchdog wants to hear (sd_watchdog_enabled(3)): half of WatchdogSec.
std::optional<std::chrono::microseconds> watchdogInterval();

}  // namespace nodemirror::systemd
