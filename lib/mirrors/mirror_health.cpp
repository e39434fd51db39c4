#include "mirrors/mirror_health.hpp"

#include "base/text.hpp"
#include "hosts_toml/render.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace nodemirror {

namespace {

constexpr std::chrono::minutes kLeftDownFor{10};

/// The upstream of a registry as it would stand in its chain.
Chain upstreamChain(const Registry& registry) {
    const auto mirror = upstreamAsMirror(registry);
    if (!mirror) return {};
    Registry alone;
    alone.name = registry.name;
    alone.fallback = Fallback::None;
    alone.mirrors.push_back(*mirror);
    return intendedChain(alone);
}

}  // namespace

MirrorHealth::MirrorHealth(boost::asio::io_context& io, StateDir state, Changed changed,
                           std::function<void()> probed)
    : state_(std::move(state)),
      changed_(std::move(changed)),
      probed_(std::move(probed)),
      monitor_(io,
               [this](const std::string& key, const ProbeOutcome& seen) { outcome(key, seen); }),
      saving_(io, [this] { saveDown(); }),
      watching_(io, [this] { watch(); }) {}

void MirrorHealth::start() {
    auto down = state_.loadDownMirrors();
    if (!down) {
        // A hint, which the first probes give again.
        spdlog::warn("msg={}", inQuotes(down.error().text()));
        return;
    }
    rememberedDown_ = std::move(*down);
    for (const auto& key : rememberedDown_) health_[key].rememberDown();
}

MirrorHealth::Watched MirrorHealth::watchedOf(const Registry& registry) {
    Watched out;
    const Chain chain = intendedChain(registry);
    for (size_t i = 0; i < registry.mirrors.size(); ++i) {
        out.mirrors.push_back(probeKey(chain[i]));
        out.urls.push_back(chain[i].url());
        ask(out.mirrors.back(), registry.name);
    }
    if (const Chain upstream = upstreamChain(registry); !upstream.empty()) {
        out.upstream = probeKey(upstream.front());
        out.upstreamUrl = upstream.front().url();
        of_[out.upstream].insert(registry.name);
    }
    return out;
}

void MirrorHealth::ask(const std::string& key, const std::string& registry) {
    of_[key].insert(registry);
    const auto left = leftDown_.find(key);
    if (left == leftDown_.end()) return;
    const bool lately = std::chrono::steady_clock::now() - left->second <= kLeftDownFor;
    leftDown_.erase(left);
    if (lately && health_.count(key) == 0) health_[key].rememberDown();
}

void MirrorHealth::setDesired(std::shared_ptr<const Desired> desired) {
    desired_ = std::move(desired);
    auto before = std::exchange(watched_, {});
    auto standIns = std::exchange(standIns_, {});
    of_.clear();
    for (const auto& registry : desired_->registries) {
        Watched& watched = watched_[registry.name] = watchedOf(registry);
        // What was learnt of the order of other mirrors says nothing of these.
        if (const auto then = before.find(registry.name);
            then != before.end() && then->second.mirrors == watched.mirrors)
            watched.latency = std::move(then->second.latency);
        if (auto found = standIns.find(registry.name); found != standIns.end()) {
            (void)watchedOf(found->second.registry);
            standIns_[registry.name] = std::move(found->second);
        }
    }
    downChanged_ = true;
    settings_.interval = desired_->health.interval;
    settings_.timeout = desired_->health.timeout;
    // Once it is known what stands in: what is asked again then is not forgotten.
    watching_.soon();
}

void MirrorHealth::setStandIn(const std::string& name, std::optional<Registry> standIn) {
    const auto found = standIns_.find(name);
    if (!standIn) {
        if (found == standIns_.end()) return;
        standIns_.erase(found);
    } else {
        if (found != standIns_.end() &&
            intendedChain(found->second.registry) == intendedChain(*standIn))
            return;
        Watched watched = watchedOf(*standIn);
        standIns_[name] = {std::move(*standIn), std::move(watched)};
    }
    watching_.soon();
}

void MirrorHealth::setContainerd(ContainerdVersion version, ProxySettings proxies) {
    settings_.version = version;
    settings_.proxies = std::move(proxies);
    watch();
}

void MirrorHealth::run() {
    running_ = true;
    watch();
}

void MirrorHealth::stop() {
    if (running_ && downChanged_) saveDown();
    running_ = false;
    saving_.cancel();
    watching_.cancel();
    monitor_.stop();
}

/// Only while one of its mirrors is down, and the order depends on it.
bool MirrorHealth::mustAskUpstream(const Watched& watched) const {
    if (watched.upstream.empty() || desired_->health.order == Health::Order::Declared) return false;
    const auto& keys = watched.mirrors;
    return std::any_of(keys.begin(), keys.end(), [this](const std::string& key) {
        const auto found = health_.find(key);
        return found != health_.end() && found->second.down();
    });
}

bool MirrorHealth::isAskedAsItMust(const std::string& registry) const {
    const auto isAsked = [this](const Watched& watched) {
        return mustAskUpstream(watched) == watched.asksUpstream;
    };
    const auto watched = watched_.find(registry);
    const auto standIn = standIns_.find(registry);
    return (watched == watched_.end() || isAsked(watched->second)) &&
           (standIn == standIns_.end() || isAsked(standIn->second.watched));
}

void MirrorHealth::watch() {
    if (!running_ || !desired_) return;
    Chain hosts;
    for (const auto& registry : desired_->registries)
        watch(registry, watched_[registry.name], hosts);
    for (auto& [name, standIn] : standIns_) watch(standIn.registry, standIn.watched, hosts);
    std::set<std::string> asked;
    for (const auto& host : hosts) asked.insert(probeKey(host));
    forgetUnasked(asked);
    monitor_.watch(hosts, settings_);
}

/// What is no longer asked is not known any more.
void MirrorHealth::forgetUnasked(const std::set<std::string>& asked) {
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(leftDown_, [&](const auto& left) { return now - left.second > kLeftDownFor; });
    const auto forget = [&](const auto& entry) {
        if (asked.count(entry.first) > 0) return false;
        if (entry.second.down()) leftDown_[entry.first] = now;
        return true;
    };
    if (std::erase_if(health_, forget) > 0) downChanged_ = true;
}

/// Adds to `probed` what is to be asked for a registry's order.
void MirrorHealth::watch(const Registry& registry, Watched& watched, Chain& probed) const {
    Chain chain = intendedChain(registry);
    chain.resize(registry.mirrors.size());
    watched.asksUpstream = mustAskUpstream(watched);
    if (watched.asksUpstream) chain.push_back(upstreamChain(registry).front());
    std::move(chain.begin(), chain.end(), std::back_inserter(probed));
}

HostStanding MirrorHealth::standing(const std::string& key) const {
    HostStanding out;
    const auto found = health_.find(key);
    if (found == health_.end()) return out;
    out.known = found->second.state() != HostHealth::State::Unknown;
    out.down = found->second.down();
    out.latency = found->second.latency();
    return out;
}

void MirrorHealth::outcome(const std::string& key, const ProbeOutcome& seen) {
    probed_();
    const auto registries = of_.find(key);
    if (registries == of_.end()) return;
    HostHealth& health = health_[key];
    const bool wasDown = health.down();
    const bool changed =
        health.observe(seen, std::chrono::steady_clock::now(), std::chrono::system_clock::now());
    if (health.down() != wasDown) {
        const std::string name = key.substr(0, key.find(' '));
        if (health.down())
            spdlog::warn("mirror={} event=down msg={}", inQuotes(name), inQuotes(health.error()));
        else
            spdlog::info("mirror={} event=up", inQuotes(name));
        downChanged_ = true;
        saving_.soon();
        const auto& of = registries->second;
        if (!std::all_of(of.begin(), of.end(),
                         [this](const std::string& registry) { return isAskedAsItMust(registry); }))
            watching_.soon();
    }
    const bool byLatency = desired_->health.order == Health::Order::Latency;
    if (changed || byLatency) changed_(registries->second);
}

void MirrorHealth::remember() {
    if (downChanged_) saving_.now();
}

void MirrorHealth::saveDown() {
    downChanged_ = false;
    std::set<std::string> down;
    for (const auto& [key, health] : health_)
        if (health.down()) down.insert(key);
    if (down == rememberedDown_) return;
    rememberedDown_ = std::move(down);
    if (const auto saved = state_.saveDownMirrors(rememberedDown_); !saved)
        spdlog::error("msg={}", inQuotes(saved.error().text()));
}

OrderedRegistry MirrorHealth::ordered(const Registry& registry) {
    const auto watched = watched_.find(registry.name);
    return watched == watched_.end() ? OrderedRegistry{registry, ""}
                                     : ordered(registry, watched->second);
}

OrderedRegistry MirrorHealth::orderedStandIn(const std::string& registry) {
    const auto found = standIns_.find(registry);
    return found == standIns_.end() ? OrderedRegistry()
                                    : ordered(found->second.registry, found->second.watched);
}

OrderedRegistry MirrorHealth::ordered(const Registry& registry, Watched& watched) {
    OrderedRegistry out{registry, ""};
    if (desired_->health.order == Health::Order::Declared) return out;
    std::vector<HostStanding> standings;
    for (const auto& key : watched.mirrors) standings.push_back(standing(key));
    std::string reason;
    if (desired_->health.order == Health::Order::Latency) {
        const auto order = watched.latency.decide(standings, std::chrono::steady_clock::now());
        out.registry = reordered(registry, order);
        std::vector<HostStanding> moved;
        for (const size_t index : order) moved.push_back(standings[index]);
        if (moved.size() == standings.size() && !std::is_sorted(order.begin(), order.end()))
            reason = "the faster mirrors go first";
        standings = std::move(moved);
    }
    out = orderByHealth(out.registry, standings, standing(watched.upstream));
    if (!reason.empty()) out.reason = out.reason.empty() ? reason : out.reason + "; " + reason;
    return out;
}

const HostHealth* MirrorHealth::health(const std::string& registry, const std::string& url) const {
    const auto keyIn = [&url](const Watched& watched) {
        for (size_t i = 0; i < watched.urls.size(); ++i)
            if (watched.urls[i] == url) return watched.mirrors[i];
        return url == watched.upstreamUrl ? watched.upstream : "";
    };
    // Of what is in force, where something stands in.
    const auto standIn = standIns_.find(registry);
    std::string key = standIn == standIns_.end() ? "" : keyIn(standIn->second.watched);
    if (const auto watched = watched_.find(registry); key.empty() && watched != watched_.end())
        key = keyIn(watched->second);
    const auto found = health_.find(key);
    return found == health_.end() ? nullptr : &found->second;
}

/// URLs of the mirrors that are down, each with what was wrong.
std::vector<std::string> MirrorHealth::downOf(const Watched& watched) const {
    std::vector<std::string> out;
    for (size_t i = 0; i < watched.mirrors.size(); ++i) {
        const auto found = health_.find(watched.mirrors[i]);
        if (found != health_.end() && found->second.state() == HostHealth::State::Unhealthy)
            out.push_back(watched.urls[i] + ": " + found->second.error());
    }
    return out;
}

std::vector<Reason> MirrorHealth::reasons() const {
    std::vector<Reason> out;
    for (const auto& [name, declared] : watched_) {
        const auto standIn = standIns_.find(name);
        const Watched& watched = standIn == standIns_.end() ? declared : standIn->second.watched;
        const auto down = downOf(watched);
        if (down.empty()) continue;
        const bool all = down.size() == watched.mirrors.size();
        out.push_back(makeReason(
            all ? Reason::Weight::Degraded : Reason::Weight::Note,
            all ? "AllMirrorsDown" : "MirrorDown", name, join(down, "; "),
            all ? "mend one, or add one that this node can reach; nodemirrorctl explain IMAGE "
                  "tells "
                  "what is left for an image of " +
                      name
            : desired_->health.order == Health::Order::Declared
                ? "mend it, or set health: {order: health} so that it goes last meanwhile"
                : "mend it; meanwhile it is tried last"));
    }
    return out;
}

}  // namespace nodemirror
