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
    bool resting = false;  ///< until the next probe is due
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

HealthMonitor::HealthMonitor(asio::io_context& io, Handler handler)
    : io_(io), resolver_(io), handler_(std::move(handler)), slotTimer_(io) {}

void HealthMonitor::watch(const std::vector<ChainHost>& hosts, const Settings& settings) {
    // What was kept, or is under way, goes by way of what was set before.
    if (settings.proxies != settings_.proxies || settings.version != settings_.version) {
        ++generation_;
        for (auto& [key, target] : targets_) target->kept.reset();
    }
    // Nobody who asks for more frequent probes waits for the end of a longer pause.
    if (settings.interval < settings_.interval)
        for (auto& [key, target] : targets_)
            if (target->resting) target->wait.cancel();
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

Task<void> HealthMonitor::takeTurn(std::shared_ptr<Target> target) {
    if (probing_ >= kMostAtOnce) {
        waiting_.push_back(target);
        target->wait.expires_at(asio::steady_timer::time_point::max());
        error_code ignored;
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

/// Connections begin one after another, with other work of the loop between them: hundreds of
/// handshakes in one turn would keep drift waiting.
Task<void> HealthMonitor::takeSlot() {
    const auto ticket =
        std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
    slots_.push_back(ticket);
    if (slots_.size() == 1) armSlots();
    error_code ignored;
    auto wait = ticket->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await std::move(wait);
}

void HealthMonitor::armSlots() {
    slotTimer_.expires_at(lastStart_ + kBetweenStarts);
    slotTimer_.async_wait([this](const error_code& error) {
        if (error || slots_.empty()) return;
        slots_.front()->cancel();
        slots_.pop_front();
        lastStart_ = std::chrono::steady_clock::now();
        if (!slots_.empty()) armSlots();
    });
}

Task<void> HealthMonitor::keepProbing(std::shared_ptr<Target> target) {
    while (!target->stopped) {
        const auto began = std::chrono::steady_clock::now();
        auto turn = takeTurn(target);
        co_await std::move(turn);
        const size_t generation = generation_;
        auto task = probe(target);
        const ProbeOutcome outcome = co_await std::move(task);
        endTurn();
        if (target->stopped) co_return;
        if (generation != generation_) {
            target->kept.reset();
            continue;
        }
        handler_(target->key, outcome);
        // From the start of one probe to the start of the next.
        target->wait.expires_at(began + std::chrono::duration_cast<asio::steady_timer::duration>(
                                            withJitter(settings_.interval)));
        error_code ignored;
        target->resting = true;
        auto pause = target->wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(pause);
        target->resting = false;
    }
}

std::shared_ptr<BaseProbe> HealthMonitor::freshProbe(const Target& target) {
    const auto contexts = [this](const TlsSettings& settings) { return contexts_.get(settings); };
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

/// Until an attempt ends, one has answered well, or the deadline.
Task<void> HealthMonitor::waitFor(std::shared_ptr<Race> race, SteadyTime deadline) {
    const int running = race->running;
    while (race->running > 0 && race->running == running && !race->winner &&
           std::chrono::steady_clock::now() < deadline) {
        error_code ignored;
        race->changed.expires_at(deadline);
        auto wait = race->changed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await std::move(wait);
    }
}

/// One probe with its confirmation: a second attempt on a fresh connection, as soon as the first
/// has failed or half its time is over.
Task<ProbeOutcome> HealthMonitor::probe(std::shared_ptr<Target> target) {
    const auto timeout =
        std::chrono::duration_cast<asio::steady_timer::duration>(settings_.timeout);
    auto race = std::make_shared<Race>(io_);
    std::vector<std::shared_ptr<BaseProbe>> all;
    SteadyTime latest;
    for (int number = 0; number < 2 && !race->winner && !target->stopped; ++number) {
        std::shared_ptr<BaseProbe> asked;
        if (number == 0 && target->kept && target->kept->isCurrent()) asked = target->kept;
        if (!asked) {
            auto slot = takeSlot();
            co_await std::move(slot);
            if (race->winner || target->stopped) break;
            asked = freshProbe(*target);
        }
        all.push_back(asked);
        target->underWay.emplace_back(asked);
        // A failure that came quickly leaves its confirmation the whole time.
        const SteadyTime began = std::chrono::steady_clock::now();
        latest =
            std::max(latest, began + (number == 1 && race->running > 0 ? timeout / 2 : timeout));
        ++race->running;
        const auto done = [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        };
        asio::co_spawn(io_, attempt(target, asked, race), done);
        auto wait = waitFor(race, number == 0 ? began + timeout / 2 : latest);
        co_await std::move(wait);
    }
    while (race->running > 0 && !race->winner && !target->stopped &&
           std::chrono::steady_clock::now() < latest) {
        auto wait = waitFor(race, latest);
        co_await std::move(wait);
    }
    for (const auto& asked : all)
        if (asked != race->winner) asked->cancel();
    target->underWay.clear();
    target->kept = targets_.size() <= kMostKept ? race->winner : nullptr;
    if (!race->winner && race->outcome.error.empty()) race->outcome.error = kHangs;
    co_return race->outcome;
}

}  // namespace nodemirror
