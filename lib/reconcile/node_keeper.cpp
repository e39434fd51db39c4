#include "reconcile/node_keeper.hpp"

#include "base/text.hpp"
#include "import/imported.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace nodemirror {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr minutes kResync{10};
/// Nothing that time brings makes passes more frequent than this.
constexpr milliseconds kSoonest{250};
/// Of a containerd that does not answer.
constexpr milliseconds kFirstRetry{500};
constexpr milliseconds kLastRetry{8000};
/// Events come in bursts: one pass for what comes within this time.
constexpr milliseconds kGather{20};

}  // namespace

NodeKeeper::NodeKeeper(boost::asio::io_context& io, Containerd& containerd, Units& units,
                       StateDir state, Paths paths, milliseconds configQuiet)
    : io_(io),
      containerd_(containerd),
      restarter_(units, state),
      loaded_(state, paths.containerdSocket, paths.certsDir),
      config_(io, containerd, restarter_, state, loaded_, [this] { return readConfig(); }),
      images_(io, containerd, [this] { trigger(); }),
      state_(state),
      paths_(std::move(paths)),
      settling_(configQuiet),
      wake_(io) {}

void NodeKeeper::start() {
    config_.onEdit([this] {
        if (onReplaced_) onReplaced_(registriesOf(observed_.config.value()));
    });
    restarter_.onRestart([this](const std::string& unit, const std::string& why) {
        // The pass that waits for it tells what it found when it ends.
        std::erase_if(view_.reasons, [](const Reason& told) { return told.code == "Restarting"; });
        view_.reasons.push_back(makeReason(Reason::Weight::Degraded, "Restarting", unit,
                                           "it is being restarted: " + why, "it ends by itself"));
    });
    restarter_.start();
    const auto seen = state_.knowsConfig(paths_.containerdConfig);
    if (!seen) spdlog::error("msg={}", inQuotes(seen.error().text()));
    configSeen_ = seen && *seen;
    configUnknown_ = !seen;
    loaded_.start();
    config_.start();
}

void NodeKeeper::setDesired(std::shared_ptr<const Desired> desired) {
    desired_ = std::move(desired);
    view_.ofDesired = false;
    restarter_.setDesired(*desired_);
    images_.forgetFailures();
    trigger();
}

void NodeKeeper::trigger() {
    triggered_ = true;
    wake_.cancel();
}

void NodeKeeper::stop() {
    stopped_ = true;
    wake_.cancel();
}

SteadyTime NodeKeeper::due(SteadyTime now) const {
    SteadyTime due = now + kResync;
    const auto consider = [&](SteadyTime time) {
        if (time != SteadyTime() && time < due) due = std::max(time, now + kSoonest);
    };
    if (unitsUnknown_) consider(now + seconds(5));
    // What is to be mended may be a file that nobody knows to watch.
    if (observed_.config.isUnknown() && !observed_.config.why().empty())
        consider(now + seconds(30));
    if (unreachableFor_ > 0)
        consider(now + backoff(kFirstRetry, unreachableFor_ - 1, kLastRetry));
    else
        consider(images_.due());
    for (const auto& reason : reasons_) {
        if (reason.until) {
            const auto wait = *reason.until == WallTime::max()
                                  ? WallTime::duration(kResync)
                                  : *reason.until - WallTime::clock::now();
            consider(now + std::chrono::duration_cast<milliseconds>(wait) + milliseconds(50));
        } else if (reason.code == "CriNotReady") {
            consider(now + seconds(2));
        } else if (reason.weight == Reason::Weight::Degraded) {
            consider(now + seconds(30));
        }
    }
    return due;
}

Task<void> NodeKeeper::run() {
    while (!stopped_) {
        if (!triggered_) {
            wake_.expires_at(due(std::chrono::steady_clock::now()));
            boost::system::error_code ignored;
            auto wait =
                wake_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            co_await std::move(wait);
            if (stopped_) co_return;
            boost::asio::steady_timer gather(io_, kGather);
            auto more =
                gather.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            co_await std::move(more);
        }
        auto task = pass();
        co_await std::move(task);
    }
}

Task<void> NodeKeeper::settle(SteadyTime until) {
    boost::asio::steady_timer timer(io_);
    bool looked = false;
    while (!stopped_) {
        // The end of a pull triggers another one.
        const SteadyTime again = images_.due();
        const bool due = again != SteadyTime() && again <= std::chrono::steady_clock::now();
        if (!passing_ && (!looked || triggered_ || due)) {
            looked = true;
            auto task = pass();
            co_await std::move(task);
        }
        if (looked && !passing_ && !images_.busy() && !triggered_) co_return;
        if (std::chrono::steady_clock::now() >= until) co_return;
        timer.expires_after(kGather);
        auto wait = timer.async_wait(boost::asio::use_awaitable);
        co_await std::move(wait);
    }
}

Task<void> NodeKeeper::pass() {
    if (!desired_) {
        triggered_ = false;
        co_return;
    }
    // Only one pass at a time: whoever comes meanwhile leaves a trigger for the next.
    if (passing_) {
        triggered_ = true;
        boost::asio::steady_timer timer(io_, kGather);
        auto wait = timer.async_wait(boost::asio::use_awaitable);
        co_await std::move(wait);
        co_return;
    }
    passing_ = true;
    triggered_ = false;
    const auto begunFor = desired_;
    reasons_.clear();
    auto look = observe();
    co_await std::move(look);
    // Over a restart too: what a lost file said is not to be replaced by next to nothing.
    if (configSeen_ && !configNoted_) {
        const auto noted = state_.rememberConfig(paths_.containerdConfig);
        if (!noted) spdlog::error("msg={}", inQuotes(noted.error().text()));
        configNoted_ = noted.has_value();
    }
    if (observed_.version.isKnown()) {
        auto configure = keepConfig();
        co_await std::move(configure);
        judgeContainerd(&reasons_);
        auto lookAtImages = observeImages();
        co_await std::move(lookAtImages);
        ImagePlan plan = planImages(view_.required, observed_);
        auto keep = images_.apply(std::move(plan));
        co_await std::move(keep);
        judgeImages();
        auto kubelet = keepKubelet();
        co_await std::move(kubelet);
    } else {
        judgeContainerd(&reasons_);
        // It may not start for an edit's sake.
        if (!view_.reachable.value_or(false)) {
            auto resume = config_.resume(desired_->containerd, ContainerdRuns::Nothing, &reasons_);
            (void)co_await std::move(resume);
        }
    }
    loaded_.remember();
    fillView();
    passed_ = true;
    view_.ofDesired = begunFor == desired_;
    passing_ = false;
    if (onPass_) onPass_();
}

void NodeKeeper::fillView() {
    view_.observed = observed_;
    view_.sandboxImage = sandboxImageOf(observed_);
    view_.configPath = effectiveConfigPath(observed_, paths_.certsDir);
    view_.pauseSource = images_.lastSource();
    view_.units = {restarter_.view(desired_->containerd.unit),
                   restarter_.view(desired_->kubelet.unit)};
    view_.reasons = reasons_;
}

void NodeKeeper::judgeContainerd(std::vector<Reason>* reasons) const {
    const std::string& unit = desired_->containerd.unit;
    if (auto reason = reasonOfContainerd(observed_, view_.unreachable, unit))
        reasons->push_back(std::move(*reason));
    // CriDisabled is the same, with its cause.
    if (!observed_.version.isKnown() || hasReason(*reasons, "CriDisabled")) return;
    if (auto reason = reasonOfCri(observed_.cri, unit, paths_.containerdConfig))
        reasons->push_back(std::move(*reason));
}

void NodeKeeper::judgeImages() {
    view_.imageErrors.clear();
    for (const auto& image : view_.required) {
        const auto& seen = observed_.images[image.name];
        if (seen.isKnown() && !seen.value().resolves)
            view_.imageErrors[image.name] = images_.error(image.name);
    }
    for (auto& reason : reasonsOfImages(view_.required, observed_, view_.imageErrors))
        reasons_.push_back(std::move(reason));
    if (const auto back = pauseAbsence_.follow(view_.required, observed_, view_.imageErrors,
                                               std::chrono::steady_clock::now());
        !back.empty())
        wantKubeletRestarted("the pause image " + back + " was missing and is back");
}

void NodeKeeper::wantKubeletRestarted(std::string why) {
    kubeletReason_ = std::move(why);
    kubeletSince_ = std::chrono::steady_clock::now();
}

Task<void> NodeKeeper::keepKubelet() {
    if (kubeletReason_.empty() || pauseAbsence_.any()) co_return;
    const Service service = desired_->kubelet;
    // A person, or systemd, was there first.
    const auto& seen = restarter_.observed(service.unit);
    if (seen.isKnown() && seen.value().mainPid > 0 && seen.value().started > kubeletSince_) {
        spdlog::info("unit={} msg=\"it was started meanwhile\" reason={}", service.unit,
                     inQuotes(kubeletReason_));
        kubeletReason_.clear();
        co_return;
    }
    auto restart = restarter_.restart(service, kubeletReason_, &reasons_);
    const auto outcome = co_await std::move(restart);
    if (outcome == Restarter::Outcome::Restarted || outcome == Restarter::Outcome::Never)
        kubeletReason_.clear();
}

std::vector<std::string> NodeKeeper::configFiles() const {
    std::vector<std::string> out{paths_.containerdConfig};
    out.insert(out.end(), importedFiles_.begin(), importedFiles_.end());
    return out;
}

}  // namespace nodemirror
