#include "plan/contest.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <chrono>

namespace nodemirror {

using std::chrono::seconds;

namespace {

constexpr size_t kHealsBeforeContest = 5;
constexpr seconds kWindow{10};
constexpr seconds kFirstWait{1};
constexpr seconds kLongestWait{60};
constexpr seconds kCalm{15};
constexpr size_t kMostNamed = 5;
constexpr size_t kLongestName = 80;

std::string programOf(const std::string& command) {
    const std::string program = command.substr(0, command.find(' '));
    return program.substr(program.rfind('/') + 1).substr(0, kLongestName);
}

}  // namespace

void Contest::healed(SteadyTime now) {
    heals_.push_back(now);
    while (!heals_.empty() && heals_.front() + kWindow < now) heals_.pop_front();
    if (!contested_ && heals_.size() < kHealsBeforeContest) return;
    contested_ = true;
    const Duration wait = backoff(kFirstWait, level_, kLongestWait);
    level_ = std::min(level_ + 1, 6);
    notBefore_ = now + wait;
    due_ = notBefore_;
    calmAt_ = now + std::max<Duration>(kCalm, 2 * wait);
}

bool Contest::quiet(SteadyTime now) const {
    return !contested_ && (heals_.empty() || heals_.back() + kWindow < now);
}

void Contest::foundInPlace(SteadyTime now) {
    if (!contested_) return;
    due_ = calmAt_;
    if (now < calmAt_) return;
    contested_ = false;
    level_ = 0;
    heals_.clear();
    notBefore_ = SteadyTime();
}

std::string possibleWriters(const std::vector<ObservedProcess>& processes,
                            const std::string& certsDir, int self) {
    std::vector<std::string> named;
    for (const auto& process : processes) {
        const std::string program = programOf(process.command);
        const bool ours = process.pid == self || program == "nodemirrorctl";
        if (ours || program == "containerd" || process.command.find(certsDir) == std::string::npos)
            continue;
        named.push_back(program + " (pid " + std::to_string(process.pid) + ")");
        if (named.size() == kMostNamed) break;
    }
    if (named.empty()) return "";
    return "processes that name " + certsDir + ": " + join(named, ", ");
}

}  // namespace nodemirror
