#include "plan/config_settling.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

constexpr int kLongest = 12;  ///< in times of quiet

}  // namespace

void ConfigSettling::look(const Seen<ContainerdConfig>& config, SteadyTime now) {
    const std::string is = config.isKnown() ? config.value().digest() : "";
    const bool changed = seen_ && *seen_ != is;
    seen_ = is;
    if (!changed) return;
    if (!first_ || now - last_ >= quiet_) first_ = now;
    last_ = now;
}

std::optional<SteadyTime> ConfigSettling::heldUntil(SteadyTime now) const {
    if (!first_) return std::nullopt;
    const SteadyTime until = std::min(last_ + quiet_, *first_ + kLongest * quiet_);
    return now < until ? std::optional(until) : std::nullopt;
}

Reason reasonOfSettling(const std::string& configFile, WallTime until) {
    Reason reason = makeReason(
        Reason::Weight::Degraded, "ConfigSettling", configFile,
        "containerd's configuration was changed a moment ago: it is edited, and containerd "
        "restarted, when it has been left alone for some seconds",
        "wait; nodemirrord --dry-run shows what is to be done");
    reason.until = until;
    return reason;
}

}  // namespace nodemirror
