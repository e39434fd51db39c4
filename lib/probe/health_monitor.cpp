#include "probe/health_monitor.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <random>
#include <set>

namespace nodemirror {

namespace asio = boost::asio;
using boost::system::error_code;

struct HealthMonitor::Target {
    Target(asio::io_context& io, std::string name, ChainHost chainHost)
        : key(std::move(name)), host(std::move(chainHost)), wait(io) {}
    std::string key;
    ChainHost host;
    asio::steady_timer wait;
    std::shared_ptr<BaseProbe> kept;  ///< with its connection, from probe to probe
    std::vector<std::weak_ptr<BaseProbe>> underWay;
    bool stopped = false;
};

/// Two attempts at the same probe; the first good one counts.
struct HealthMonitor::Race {
    explicit Race(asio::io_context& io) : changed(io) {}
    asio::steady_timer changed;  ///< cancelled when an attempt ends
    int running = 0;
    ProbeOutcome outcome;
    std::shared_ptr<BaseProbe> winner;
};

namespace {

/// Probes at once: each may hold two connections for as long as its timeout.
constexpr int kMostAtOnce = 256;
/// Connections that are kept from probe to probe.
constexpr size_t kMostKept = 256;
constexpr std::chrono::seconds kContextLife{30};
/// More than a handshake costs; a thousand probes begin in three seconds.
constexpr std::chrono::milliseconds kBetweenStarts{3};

/// Up to a fifth less, so that the probes of many nodes and mirrors spread out, and that one begins
/// within the interval whatever else goes on.
Duration withJitter(Duration interval) {
    static std::mt19937_64 random{std::random_device()()};
    std::uniform_int_distribution<Duration::rep> spread(interval.count() / 20,
                                                        interval.count() / 5);
    return interval - Duration(spread(random));
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

HealthMonitor::HealthMonitor(asio::io_context& io, Handler handler)
    : io_(io), resolver_(io), handler_(std::move(handler)) {}

void HealthMonitor::watch(const std::vector<ChainHost>& hosts, const Settings& settings) {
    settings_ = settings;
    std::map<std::string, std::shared_ptr<Target>> wanted;
    for (const auto& host : hosts) {
        const std::string key = probeKey(host);
        if (wanted.count(key)) continue;
        const auto known = targets_.find(key);
        if (known != targets_.end()) {
            wanted[key] = known->second;
            continue;
        }
        auto target = std::make_shared<Target>(io_, key, host);
        wanted[key] = target;
        const auto done = [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        };
        asio::co_spawn(io_, keepProbing(target), done);
    }
    for (auto& [key, target] : targets_)
        if (!wanted.count(key)) {
            target->stopped = true;
            target->wait.cancel();
        }
    targets_ = std::move(wanted);
    contexts_.clear();
}

void HealthMonitor::stop() {
    for (auto& [key, target] : targets_) {
        target->stopped = true;
        target->wait.cancel();
        for (auto& weak : target->underWay)
            if (const auto asked = weak.lock()) asked->cancel();
    }
    targets_.clear();
}

/// Probes begin one after another: hundreds of handshakes in one turn of the loop would keep drift
/// waiting.
Task<void> HealthMonitor::takeTurn(std::shared_ptr<Target> target) {
    const SteadyTime slot = std::max(std::chrono::steady_clock::now(), nextStart_);
    nextStart_ = slot + kBetweenStarts;
    target->wait.expires_at(slot);
    error_code ignored;
    auto pause = target->wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(pause);
    if (probing_ >= kMostAtOnce) {
        waiting_.push_back(target);
        target->wait.expires_at(asio::steady_timer::time_point::max());
        auto wait = target->wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
    }
    ++probing_;
}

void HealthMonitor::endTurn() {
    --probing_;
    if (waiting_.empty()) return;
    waiting_.front()->wait.cancel();
    waiting_.pop_front();
}

Task<void> HealthMonitor::keepProbing(std::shared_ptr<Target> target) {
    while (!target->stopped) {
        const auto began = std::chrono::steady_clock::now();
        auto turn = takeTurn(target);
        co_await std::move(turn);
        auto task = probe(target);
        const ProbeOutcome outcome = co_await std::move(task);
        endTurn();
        if (target->stopped) co_return;
        handler_(target->key, outcome);
        // From the start of one probe to the start of the next.
        target->wait.expires_at(began + std::chrono::duration_cast<asio::steady_timer::duration>(
                                            withJitter(settings_.interval)));
        error_code ignored;
        auto pause = target->wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(pause);
    }
}

/// Certificates may be renewed in place, as containerd notices at every pull: a context is used
/// for a while only.
Result<TlsContext> HealthMonitor::tlsContextFor(const TlsSettings& settings) {
    std::string key = settings.skipVerify ? "skip" : "";
    for (const auto& ca : settings.ca) key += "\n" + ca;
    for (const auto& pair : settings.client) key += "\n\t" + join(pair, "\n");
    const auto now = std::chrono::steady_clock::now();
    const auto known = contexts_.find(key);
    if (known != contexts_.end() && now - known->second.first < kContextLife)
        return known->second.second;
    auto made = makeTlsContext(settings);
    if (made) contexts_[key] = {now, *made};
    return made;
}

std::shared_ptr<BaseProbe> HealthMonitor::freshProbe(const Target& target) {
    const auto contexts = [this](const TlsSettings& settings) { return tlsContextFor(settings); };
    return std::make_shared<BaseProbe>(io_, resolver_, target.host, settings_.version,
                                       settings_.proxies, contexts);
}

Task<void> HealthMonitor::attempt(std::shared_ptr<Target> target, std::shared_ptr<BaseProbe> asked,
                                  std::shared_ptr<Race> race) {
    Patience patience;
    patience.connect = patience.handshake = patience.answer = patience.body = settings_.timeout;
    auto task = asked->run(patience);
    const auto exchanges = co_await std::move(task);
    const ProbeOutcome outcome = judgeProbe(exchanges.back(), target->host.path);
    --race->running;
    if (!race->winner && outcome.good) race->winner = asked;
    if (!race->outcome.good) race->outcome = outcome;
    race->changed.cancel();
}

/// One probe with its confirmation.
Task<ProbeOutcome> HealthMonitor::probe(std::shared_ptr<Target> target) {
    const auto began = std::chrono::steady_clock::now();
    const auto timeout =
        std::chrono::duration_cast<asio::steady_timer::duration>(settings_.timeout);
    auto race = std::make_shared<Race>(io_);
    std::vector<std::shared_ptr<BaseProbe>> all;
    error_code ignored;
    auto deadline = began + timeout / 2;
    for (int number = 0; number < 2 && !race->winner && !target->stopped; ++number) {
        std::shared_ptr<BaseProbe> asked = number == 0 ? target->kept : nullptr;
        if (!asked) asked = freshProbe(*target);
        all.push_back(asked);
        target->underWay.emplace_back(asked);
        ++race->running;
        const auto done = [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        };
        asio::co_spawn(io_, attempt(target, asked, race), done);
        // A failure that came quickly leaves its confirmation the whole time.
        if (number == 1)
            deadline =
                race->running == 1 ? std::chrono::steady_clock::now() + timeout : began + timeout;
        while (race->running > 0 && !race->winner && std::chrono::steady_clock::now() < deadline &&
               !target->stopped) {
            race->changed.expires_at(deadline);
            auto wait =
                race->changed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
            co_await std::move(wait);
            if (number == 0 && race->running == 0) break;
        }
    }
    for (const auto& asked : all)
        if (asked != race->winner) asked->cancel();
    target->underWay.clear();
    target->kept = targets_.size() <= kMostKept ? race->winner : nullptr;
    if (!race->winner && race->outcome.error.empty())
        race->outcome.error = "takes the connection and does not answer";
    co_return race->outcome;
}

}  // namespace nodemirror
