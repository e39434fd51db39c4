#include "mirrors/mirror_health.hpp"

#include "base/text.hpp"
#include "hosts_toml/render.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace nodemirror {

namespace {

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

void MirrorHealth::setDesired(std::shared_ptr<const Desired> desired) {
    desired_ = std::move(desired);
    const auto before = std::exchange(watched_, {});
    of_.clear();
    for (const auto& registry : desired_->registries) {
        Watched& watched = watched_[registry.name];
        const Chain chain = intendedChain(registry);
        for (size_t i = 0; i < registry.mirrors.size(); ++i) {
            watched.mirrors.push_back(probeKey(chain[i]));
            watched.urls.push_back(chain[i].url());
            of_[watched.mirrors.back()].insert(registry.name);
        }
        if (const Chain upstream = upstreamChain(registry); !upstream.empty()) {
            watched.upstream = probeKey(upstream.front());
            watched.upstreamUrl = upstream.front().url();
            of_[watched.upstream].insert(registry.name);
        }
    }
    // What was learnt of the order of other mirrors says nothing of these.
    std::erase_if(latency_, [&](const auto& entry) {
        const auto now = watched_.find(entry.first);
        const auto then = before.find(entry.first);
        return now == watched_.end() || then == before.end() ||
               now->second.mirrors != then->second.mirrors;
    });
    std::erase_if(health_, [this](const auto& entry) { return of_.count(entry.first) == 0; });
    downChanged_ = true;
    settings_.interval = desired_->health.interval;
    settings_.timeout = desired_->health.timeout;
    watch();
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
bool MirrorHealth::watchesUpstream(const std::string& registry) const {
    const auto watched = watched_.find(registry);
    if (watched == watched_.end() || watched->second.upstream.empty() ||
        desired_->health.order == Health::Order::Declared)
        return false;
    const auto& keys = watched->second.mirrors;
    return std::any_of(keys.begin(), keys.end(), [this](const std::string& key) {
        const auto found = health_.find(key);
        return found != health_.end() && found->second.down();
    });
}

void MirrorHealth::watch() {
    if (!running_ || !desired_) return;
    std::vector<ChainHost> hosts;
    std::set<std::string> probed;
    const auto add = [&](Chain chain) {
        for (auto& host : chain) {
            probed.insert(probeKey(host));
            hosts.push_back(std::move(host));
        }
    };
    upstreamsWatched_.clear();
    for (const auto& registry : desired_->registries) {
        Chain chain = intendedChain(registry);
        chain.resize(registry.mirrors.size());
        add(std::move(chain));
        if (!watchesUpstream(registry.name)) continue;
        upstreamsWatched_.insert(registry.name);
        add(upstreamChain(registry));
    }
    // What is no longer asked is not known any more.
    if (std::erase_if(health_, [&](const auto& entry) { return probed.count(entry.first) == 0; }) >
        0)
        downChanged_ = true;
    monitor_.watch(hosts, settings_);
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
        if (std::any_of(of.begin(), of.end(), [this](const std::string& registry) {
                return watchesUpstream(registry) != (upstreamsWatched_.count(registry) > 0);
            }))
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
    OrderedRegistry out{registry, ""};
    const auto watched = watched_.find(registry.name);
    if (!desired_ || desired_->health.order == Health::Order::Declared || watched == watched_.end())
        return out;
    std::vector<HostStanding> standings;
    for (const auto& key : watched->second.mirrors) standings.push_back(standing(key));
    std::string reason;
    if (desired_->health.order == Health::Order::Latency) {
        const auto order =
            latency_[registry.name].decide(standings, std::chrono::steady_clock::now());
        out.registry = reordered(registry, order);
        std::vector<HostStanding> moved;
        for (const size_t index : order) moved.push_back(standings[index]);
        if (moved.size() == standings.size() && !std::is_sorted(order.begin(), order.end()))
            reason = "the faster mirrors go first";
        standings = std::move(moved);
    }
    out = orderByHealth(out.registry, standings, standing(watched->second.upstream));
    if (!reason.empty()) out.reason = out.reason.empty() ? reason : out.reason + "; " + reason;
    return out;
}

const HostHealth* MirrorHealth::health(const std::string& registry, const std::string& url) const {
    const auto watched = watched_.find(registry);
    if (watched == watched_.end()) return nullptr;
    std::string key = url == watched->second.upstreamUrl ? watched->second.upstream : "";
    for (size_t i = 0; i < watched->second.urls.size(); ++i)
        if (watched->second.urls[i] == url) key = watched->second.mirrors[i];
    const auto found = health_.find(key);
    return found == health_.end() ? nullptr : &found->second;
}

std::vector<Reason> MirrorHealth::reasons() const {
    std::vector<Reason> out;
    for (const auto& [name, watched] : watched_) {
        std::vector<std::string> down;
        for (size_t i = 0; i < watched.mirrors.size(); ++i) {
            const auto found = health_.find(watched.mirrors[i]);
            if (found != health_.end() && found->second.state() == HostHealth::State::Unhealthy)
                down.push_back(watched.urls[i] + ": " + found->second.error());
        }
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
