#include "health/host_health.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "registry_protocol/challenge.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr hours kWindow{1};
constexpr minutes kFirstQuiet{2};
constexpr minutes kLongestQuiet{32};

bool hasUsableChallenge(const Exchange& exchange) {
    const auto header = exchange.headers.find("www-authenticate");
    if (header == exchange.headers.end()) return false;
    for (const auto& line : split(header->second, '\n'))
        if (usableChallenge(parseChallenge(line))) return true;
    return false;
}

}  // namespace

std::string probeKey(const ChainHost& host) {
    std::string options = host.dialTimeout + (host.skipVerify.value_or(false) ? "s" : "");
    for (const auto& ca : host.ca) options += "\n" + ca;
    for (const auto& pair : host.client) options += "\n" + join(pair, " ");
    for (const auto& [name, values] : host.header) options += "\n" + name + join(values, ",");
    // Header values are secrets: only their digest is kept.
    const std::string base = host.scheme + "://" + host.host + basePathOf(host.path).path;
    return options.empty() ? base : base + " " + sha256Hex(options).substr(0, 16);
}

const char kHangs[] = "takes the connection and does not answer";

ProbeOutcome judgeProbe(const Exchange& exchange, const std::string& hostPath) {
    ProbeOutcome out;
    out.latency = exchange.total;
    if (tellsNothing(exchange.fault)) {
        out.unknown = true;
        out.unread = exchange.fault == Fault::Unparsed;
        out.error = exchange.error;
    } else if (exchange.fault != Fault::None && exchange.status == 0) {
        out.error = exchange.fault == Fault::Hang ? kHangs : exchange.error;
    } else if (exchange.status == 200 ||
               (exchange.status == 404 && !basePathOf(hostPath).speaksBase)) {
        out.good = true;
    } else if (exchange.status == 401) {
        out.good = hasUsableChallenge(exchange);
        if (!out.good) out.error = "answers 401 without a challenge that can be met";
    } else {
        out.error = "answers with status " + std::to_string(exchange.status) +
                    ", which is no registry's answer to GET " + exchange.url;
    }
    return out;
}

BasePath basePathOf(const std::string& hostPath) {
    // The last whole segment that is v2.
    for (size_t at = hostPath.rfind("/v2"); at != std::string::npos && at > 0;
         at = hostPath.rfind("/v2", at - 1))
        if (at + 3 == hostPath.size() || hostPath[at + 3] == '/')
            return {hostPath.substr(0, at + 3) + "/", true};
    if (hostPath == "/v2" || hostPath.rfind("/v2/", 0) == 0) return {"/v2/", true};
    return {hostPath.empty() || hostPath.back() != '/' ? hostPath + "/" : hostPath, false};
}

/// How long it must have been good before it comes back: nothing extra after the first fall, then
/// 2, 4, 8 … minutes.
Duration HostHealth::quietTime(SteadyTime now) const {
    const auto recent = std::count_if(falls_.begin(), falls_.end(),
                                      [now](SteadyTime fall) { return now - fall < kWindow; });
    if (recent <= 1) return Duration::zero();
    return backoff(kFirstQuiet, static_cast<int>(recent - 2), kLongestQuiet);
}

bool HostHealth::observe(const ProbeOutcome& outcome, SteadyTime now, WallTime wall) {
    const State stateBefore = state_;
    const bool downBefore = down_;
    if (outcome.unread) {
        // Whether it was down before is known all the same, but not for ever.
        checkedAt_ = wall;
        state_ = State::Unknown;
        error_ = outcome.error;
        if (++unreadInARow_ >= kGoodInARow) down_ = false;
        return state_ != stateBefore || down_ != downBefore;
    }
    unreadInARow_ = 0;
    if (outcome.unknown) {
        // What was seen by another way says nothing of this one.
        *this = HostHealth();
        return state_ != stateBefore || down_ != downBefore;
    }
    checkedAt_ = wall;
    if (!outcome.good) {
        state_ = State::Unhealthy;
        error_ = outcome.error;
        goodInARow_ = 0;
        if (!down_) falls_.push_back(now);
        while (!falls_.empty() && now - falls_.front() >= kWindow) falls_.pop_front();
        down_ = true;
        return state_ != stateBefore || down_ != downBefore;
    }
    state_ = State::Healthy;
    error_.clear();
    latency_ = latency_ ? (*latency_ * 3 + outcome.latency) / 4 : outcome.latency;
    if (goodInARow_++ == 0) goodSince_ = now;
    if (down_ && goodInARow_ >= kGoodInARow && now - goodSince_ >= quietTime(now)) down_ = false;
    return state_ != stateBefore || down_ != downBefore;
}

}  // namespace nodemirror
