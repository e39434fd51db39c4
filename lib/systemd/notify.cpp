#include "systemd/notify.hpp"

#include "base/text.hpp"

#include <systemd/sd-daemon.h>

namespace nodemirror::systemd {

void notify(const std::string& state) { sd_notify(0, state.c_str()); }

void notifyStatus(const std::string& text) {
    // Every line would be an assignment of its own: MAINPID=, WATCHDOG=, whatever comes.
    notify("STATUS=" + shortened(oneLine(text), 1000));
}

std::optional<std::chrono::microseconds> watchdogInterval() {
    uint64_t interval = 0;
    if (sd_watchdog_enabled(0, &interval) <= 0) return std::nullopt;
    return std::chrono::microseconds(interval / 2);
}

}  // namespace nodemirror::systemd
