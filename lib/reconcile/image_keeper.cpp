#include "reconcile/image_keeper.hpp"

#include "base/text.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

namespace nodemirror {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr seconds kFirstRetry{2};
constexpr seconds kLastRetry{256};
/// A pause image is a few hundred kilobytes: a mirror that hangs must not keep the sources waiting.
constexpr seconds kPausePull{60};
/// Others may be large: what a pull that is given up has brought is thrown away by containerd. One
/// that makes no progress is containerd's own to end (image_pull_progress_timeout, from 1.7 on).
constexpr seconds kImagePull{3600};
/// containerd fetches three layers of each at once, and a fleet asks its mirror for all that it
/// lacks at the same moment.
constexpr int kPullsAtOnce = 2;
/// What is removed sooner after it was brought is removed by somebody who will do it again.
constexpr minutes kStays{10};
constexpr int kTolerated = 2;
constexpr minutes kAfterRemoval{2};
constexpr minutes kAfterRemovalAtMost{256};
/// How long CRI may take to notice a name that was made in the image store.
constexpr milliseconds kNotice{5000};
constexpr milliseconds kPoll{50};

/// Not all nodes of a fleet again at the same moment: up to a quarter longer.
Duration spread(Duration pause) {
    static thread_local std::minstd_rand random{std::random_device{}()};
    return pause + pause * (random() % 256) / 1024;
}

}  // namespace

/// CRI learns of a new name by an event: asked until it knows it.
Task<bool> ImageKeeper::resolves(std::string name) {
    boost::asio::steady_timer timer(io_);
    const auto end = std::chrono::steady_clock::now() + kNotice;
    while (true) {
        auto ask = containerd_.image(name);
        const auto seen = co_await std::move(ask);
        if (seen && seen->resolves) co_return true;
        if (!seen || std::chrono::steady_clock::now() >= end) co_return false;
        timer.expires_after(kPoll);
        auto wait = timer.async_wait(boost::asio::use_awaitable);
        co_await std::move(wait);
    }
}

/// A name that asks for a digest is given to nothing else, or whoever pinned it so would run what
/// they did not choose.
Task<Result<void>> ImageKeeper::checkDigest(std::string name, std::string source) {
    const size_t at = name.find('@');
    if (at == std::string::npos) co_return Result<void>();
    auto look = containerd_.image(source);
    const auto seen = co_await std::move(look);
    if (!seen) co_return seen.error();
    const std::string wanted = name.substr(at + 1);
    if (seen->digest == wanted) co_return Result<void>();
    co_return Error("tag", name,
                    source + " is " + seen->digest + ", and the name asks for " + wanted,
                    "give a source that has that digest");
}

/// Gives `source`, which is on the node, the wanted name too.
Task<Result<void>> ImageKeeper::bring(RequiredImage image, std::string source) {
    Result<void> done;
    if (source != image.name) {
        auto compare = checkDigest(image.name, source);
        const auto same = co_await std::move(compare);
        if (!same) co_return same;
        auto tag = containerd_.tag(source, image.name, image.pin);
        done = co_await std::move(tag);
    } else if (image.pin) {
        auto pin = containerd_.pin(image.name);
        done = co_await std::move(pin);
    }
    if (!done) co_return done;
    auto check = resolves(image.name);
    if (!co_await std::move(check))
        co_return Error("find", image.name, "CRI does not resolve the name",
                        "journalctl -u containerd tells why");
    co_return Result<void>();
}

Task<Result<std::string>> ImageKeeper::ensure(RequiredImage image) {
    std::vector<std::string> errors;
    // A source that is on the node already needs no network.
    for (const auto& source : image.sources) {
        auto look = containerd_.image(source);
        const auto seen = co_await std::move(look);
        if (!seen || !seen->hasRecord || !seen->resolves) continue;
        auto task = bring(image, source);
        const auto done = co_await std::move(task);
        if (done) co_return source;
        errors.push_back(done.error().brief());
    }
    std::vector<std::string> names{image.name};
    names.insert(names.end(), image.sources.begin(), image.sources.end());
    for (const auto& name : names) {
        auto pull = containerd_.pull(name, image.pause ? kPausePull : kImagePull);
        const auto pulled = co_await std::move(pull);
        if (!pulled) {
            errors.push_back(pulled.error().brief());
            continue;
        }
        auto task = bring(image, name);
        const auto done = co_await std::move(task);
        if (done) co_return name;
        errors.push_back(done.error().brief());
    }
    co_return Error("bring", image.name, join(errors, "; "),
                    image.pause ? "give a reachable copy in pause.sources"
                                : "check the mirrors of its registry");
}

void ImageKeeper::finished(const RequiredImage& image, const Result<std::string>& source) {
    --underWay_;
    if (!image.pause) --pulls_;
    Attempt& attempt = attempts_[image.name];
    attempt.underWay = false;
    if (source) {
        ++ensured_;
        if (image.pause) lastSource_ = *source;
        const int removals = attempt.removals;
        attempt = Attempt();
        attempt.broughtAt = std::chrono::steady_clock::now();
        attempt.removals = removals;
        spdlog::info("image={} event=present source={}", image.name, *source);
    } else {
        attempt.error = source.error().brief();
        attempt.retryAt = std::chrono::steady_clock::now() +
                          spread(backoff(kFirstRetry, attempt.failures, kLastRetry));
        ++attempt.failures;
        spdlog::error("image={} event=absent msg={}", image.name, inQuotes(attempt.error));
    }
    changed_();
}

void ImageKeeper::spawn(const RequiredImage& image) {
    attempts_[image.name].underWay = true;
    ++underWay_;
    if (!image.pause) ++pulls_;
    const auto done = [this, image](std::exception_ptr error, Result<std::string> source) {
        if (error) std::rethrow_exception(error);  // a bug: ends run(), and systemd restarts us
        finished(image, source);
    };
    boost::asio::co_spawn(io_, ensure(image), done);
}

/// kubelet removes images that no container uses when the disk is full: to bring them back at once
/// would fill it again, for ever. A pause image is small and pinned, and comes back at once.
bool ImageKeeper::wasRemovedSoon(const RequiredImage& image, Attempt& attempt, SteadyTime now) {
    if (image.pause || attempt.broughtAt == SteadyTime()) return false;
    const bool soon = now - attempt.broughtAt < kStays;
    attempt.broughtAt = SteadyTime();
    attempt.removals = soon ? attempt.removals + 1 : 0;
    if (attempt.removals <= kTolerated) return false;
    attempt.retryAt =
        now + backoff(kAfterRemoval, attempt.removals - kTolerated - 1, kAfterRemovalAtMost);
    attempt.error =
        "again and again somebody removed it soon after it was brought: kubelet does so when the "
        "disk is nearly full (imageGCHighThresholdPercent)";
    spdlog::warn("image={} event=removed-soon msg={}", image.name, inQuotes(attempt.error));
    return true;
}

Task<void> ImageKeeper::apply(ImagePlan plan) {
    const auto now = std::chrono::steady_clock::now();
    missing_.clear();
    for (const auto& missing : plan.missing) missing_[missing.image.name] = missing.image.pause;
    // What fails again and again, or hangs, goes behind what has not been tried as often.
    std::stable_sort(plan.missing.begin(), plan.missing.end(),
                     [this](const EnsureImage& a, const EnsureImage& b) {
                         return attempts_[a.image.name].failures < attempts_[b.image.name].failures;
                     });
    for (const auto& missing : plan.missing) {
        Attempt& attempt = attempts_[missing.image.name];
        if (attempt.underWay || attempt.retryAt > now) continue;
        // The end of each pull brings another pass.
        if (!missing.image.pause && pulls_ >= kPullsAtOnce) continue;
        if (wasRemovedSoon(missing.image, attempt, now)) continue;
        spdlog::info("image={} event=missing reason={}", missing.image.name,
                     inQuotes(missing.reason));
        spawn(missing.image);
    }
    for (const auto& pin : plan.pins) {
        auto task = containerd_.pin(pin.name);
        const auto done = co_await std::move(task);
        if (done)
            spdlog::info("image={} event=pinned reason={}", pin.name, inQuotes(pin.reason));
        else
            spdlog::warn("image={} msg={}", pin.name, inQuotes(done.error().text()));
    }
}

void ImageKeeper::forgetFailures() {
    for (auto& [name, attempt] : attempts_) {
        attempt.failures = 0;
        attempt.retryAt = SteadyTime();
    }
}

SteadyTime ImageKeeper::due() const {
    SteadyTime earliest;
    for (const auto& [name, pause] : missing_) {
        const auto attempt = attempts_.find(name);
        if (attempt == attempts_.end() || attempt->second.underWay) continue;
        // What waits for the end of another pull is looked at then.
        if (!pause && pulls_ >= kPullsAtOnce) continue;
        const SteadyTime time = attempt->second.retryAt;
        if (time != SteadyTime() && (earliest == SteadyTime() || time < earliest)) earliest = time;
    }
    return earliest;
}

std::string ImageKeeper::error(const std::string& name) const {
    const auto found = attempts_.find(name);
    return found == attempts_.end() ? "" : found->second.error;
}

}  // namespace nodemirror
