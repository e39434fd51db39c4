#include "agent/status_journal.hpp"

#include "base/text.hpp"

#include <spdlog/spdlog.h>

namespace nodemirror {

namespace {

constexpr size_t kMostTold = 20;  ///< reasons at a time

}  // namespace

void StatusJournal::tell(const Status& status) {
    const std::string phase = phaseName(status.phase);
    if (phase != phase_) spdlog::info("event=phase phase={}", phase);
    phase_ = phase;
    std::set<std::pair<std::string, std::string>> reasons;
    size_t fresh = 0;
    for (const auto& reason : status.reasons) {
        if (reason.weight == Reason::Weight::Note) continue;
        const bool known = told_.count({reason.code, reason.subject}) > 0;
        if (!reasons.insert({reason.code, reason.subject}).second || known) continue;
        if (++fresh <= kMostTold)
            spdlog::warn("event=reason code={} subject={} msg={} remedy={}", reason.code,
                         inQuotes(reason.subject), inQuotes(reason.message),
                         inQuotes(reason.remedy));
    }
    if (fresh > kMostTold) spdlog::warn("event=reason msg=\"and {} more\"", fresh - kMostTold);
    size_t gone = 0;
    for (const auto& told : told_)
        if (reasons.count(told) == 0 && ++gone <= kMostTold)
            spdlog::info("event=reason-gone code={} subject={}", told.first, inQuotes(told.second));
    told_ = std::move(reasons);
}

}  // namespace nodemirror
