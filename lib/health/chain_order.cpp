#include "health/chain_order.hpp"

#include "base/text.hpp"
#include "desired/url.hpp"
#include "hosts_toml/upstream.hpp"

#include <algorithm>
#include <numeric>

namespace nodemirror {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr int kLooks = 3;
constexpr minutes kRest{10};
constexpr milliseconds kLeastGain{5};

/// Whether `faster` beats `slower` by so much that a change is worth it.
bool clearlyFaster(const HostStanding& faster, const HostStanding& slower) {
    if (!faster.latency || !slower.latency || faster.down || slower.down) return false;
    return *faster.latency + kLeastGain < *slower.latency &&
           *faster.latency * 4 < *slower.latency * 3;
}

}  // namespace

Registry reordered(const Registry& registry, const std::vector<size_t>& order) {
    Registry out = registry;
    out.mirrors.clear();
    for (const size_t index : order) out.mirrors.push_back(registry.mirrors[index]);
    return out;
}

std::optional<Mirror> upstreamAsMirror(const Registry& registry) {
    if (registry.fallback == Fallback::None) return std::nullopt;
    Mirror out;
    if (registry.server) {
        out.url = *registry.server;
        return out;
    }
    if (registry.name == "_default") return std::nullopt;
    auto url = parseUrl("https://" + upstreamHost(registry.name));
    if (!url) return std::nullopt;
    out.url = std::move(*url);
    return out;
}

OrderedRegistry orderByHealth(const Registry& registry, const std::vector<HostStanding>& mirrors,
                              const HostStanding& upstream) {
    OrderedRegistry out{registry, ""};
    std::vector<size_t> up;
    std::vector<size_t> down;
    std::vector<std::string> names;
    for (size_t i = 0; i < registry.mirrors.size(); ++i) {
        const bool isDown = i < mirrors.size() && mirrors[i].down;
        (isDown ? down : up).push_back(i);
        const std::string& host = registry.mirrors[i].url.host;
        if (isDown && std::find(names.begin(), names.end(), host) == names.end())
            names.push_back(host);
    }
    const auto asMirror = upstreamAsMirror(registry);
    const bool upstreamUp = asMirror && upstream.known && !upstream.down;
    if (down.empty() || (up.empty() && !upstreamUp)) return out;
    std::vector<size_t> order = up;
    order.insert(order.end(), down.begin(), down.end());
    const bool declared = std::is_sorted(order.begin(), order.end());
    if (declared && !upstreamUp) return out;
    out.registry = reordered(registry, order);
    if (upstreamUp) {
        auto& list = out.registry.mirrors;
        const auto place = list.begin() + static_cast<std::ptrdiff_t>(up.size());
        // Where a mirror is the upstream's own address it has its place already.
        const bool listed = std::any_of(list.begin(), list.end(), [&](const Mirror& mirror) {
            return mirror.url == asMirror->url;
        });
        if (!listed) {
            list.insert(place, *asMirror);
            out.registry.fallback = Fallback::None;
            out.registry.server.reset();
        }
    }
    constexpr size_t kNamed = 3;
    const size_t more = names.size() > kNamed ? names.size() - kNamed : 0;
    names.resize(names.size() - more);
    out.reason = join(names, ", ") + (more > 0 ? " and " + std::to_string(more) + " more" : "") +
                 (names.size() + more == 1 ? " is" : " are") +
                 " down and tried last until proven to be back";
    return out;
}

const std::vector<size_t>& LatencyOrder::decide(const std::vector<HostStanding>& mirrors,
                                                SteadyTime now) {
    if (order_.size() != mirrors.size()) {
        order_.resize(mirrors.size());
        std::iota(order_.begin(), order_.end(), size_t{0});
        looks_ = 0;
    }
    std::vector<size_t> wanted = order_;
    // Neighbours change places only where the gain is clear, so that near equals stay as they are.
    for (size_t round = 0; round < wanted.size(); ++round)
        for (size_t i = 0; i + 1 < wanted.size(); ++i)
            if (clearlyFaster(mirrors[wanted[i + 1]], mirrors[wanted[i]]))
                std::swap(wanted[i], wanted[i + 1]);
    if (wanted == order_) {
        looks_ = 0;
        return order_;
    }
    const bool rested = !changedAt_ || now - *changedAt_ >= kRest;
    if (++looks_ >= kLooks && rested) {
        order_ = std::move(wanted);
        changedAt_ = now;
        looks_ = 0;
    }
    return order_;
}

}  // namespace nodemirror
