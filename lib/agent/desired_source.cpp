#include "agent/desired_source.hpp"

#include "base/digest.hpp"
#include "base/read_file.hpp"
#include "base/text.hpp"
#include "desired/load.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace nodemirror {

DesiredSource::DesiredSource(std::string path, StateDir state) : state_(std::move(state)) {
    view_.path = std::move(path);
}

std::vector<std::string> DesiredSource::files() const {
    std::vector<std::string> out{view_.path};
    out.insert(out.end(), referenced_.begin(), referenced_.end());
    return out;
}

bool DesiredSource::useLastGood() {
    if (current_) return false;
    const auto saved = state_.loadLastGood();
    if (!saved) {
        spdlog::error("msg={}", inQuotes(saved.error().text()));
        return false;
    }
    if (saved->yaml.empty()) return false;
    // The contents as they were: a file that is gone must not take the state with it.
    const auto read = [&](const std::string& path) -> Result<std::string> {
        const auto kept = saved->headerFiles.find(path);
        if (kept != saved->headerFiles.end()) return kept->second;
        return readReferencedFile(path);
    };
    auto parsed = parseDesired(saved->yaml, read, Certificates::Trust);
    if (!parsed.desired) {
        for (const auto& problem : parsed.problems)
            spdlog::error("desired=last-good:{}:{} key={} msg={}", problem.line, problem.column,
                          inQuotes(problem.key), inQuotes(problem.message));
        return false;
    }
    current_ = std::make_shared<const Desired>(std::move(*parsed.desired));
    view_.lastGood = true;
    view_.inForce = true;
    view_.loadedAt = std::chrono::system_clock::now();
    spdlog::warn("event=last-good msg=\"the last good desired state is in force\"");
    return true;
}

/// The copy that a later start falls back to: an older one would bring back mirrors that are gone.
void DesiredSource::keepCopy(const LastGood& lastGood) {
    const auto saved = state_.saveLastGood(lastGood);
    view_.notKept.reset();
    if (saved) return;
    view_.notKept = saved.error();
    worthRetrying_ = true;
    spdlog::error("msg={}", inQuotes(saved.error().text()));
}

/// Those that are not the same as before are told.
void DesiredSource::noteProblems(std::vector<Problem> problems) {
    constexpr size_t kMostTold = 50;
    const bool told = problems == view_.problems;
    view_.problems = std::move(problems);
    if (told) return;
    for (size_t i = 0; i < std::min(view_.problems.size(), kMostTold); ++i) {
        const Problem& problem = view_.problems[i];
        spdlog::error("desired={}:{}:{} key={} msg={}", view_.path, problem.line, problem.column,
                      inQuotes(problem.key), inQuotes(problem.message));
    }
}

bool DesiredSource::reload(bool keep) {
    const auto text =
        readWholeFile(view_.path, kLargestDesired, Writers::RootOnTheWayToo, Unfinished::Refuse);
    worthRetrying_ = !text && text.error().transient();
    if (!text) {
        view_.valid = false;
        view_.problems = {{0, 0, "", text.error().brief()}};
        view_.remedy = text.error().remedy();
        spdlog::error("desired={} msg={}", view_.path, inQuotes(text.error().text()));
        return useLastGood();
    }
    view_.remedy.clear();
    // Everything that was read counts, so that a changed header file is noticed too.
    std::string bytes = *text;
    referenced_.clear();
    const auto read = [&](const std::string& path) {
        auto content = readReferencedFile(path);
        referenced_.push_back(path);
        if (content)
            bytes += "\n" + path + "\n" + *content;
        else
            worthRetrying_ = worthRetrying_ || content.error().transient();
        return content;
    };
    auto parsed = parseDesired(*text, read);
    view_.sha256 = sha256Hex(*text);
    noteProblems(std::move(parsed.problems));
    view_.valid = parsed.desired.has_value();
    if (!view_.valid) return useLastGood();
    const bool changed = !current_ || view_.lastGood || sha256Hex(bytes) != fileBytes_;
    view_.lastGood = false;
    view_.inForce = true;
    if (keep && (changed || view_.notKept)) {
        LastGood lastGood;
        lastGood.yaml = *text;
        lastGood.headerFiles = std::move(parsed.headerFiles);
        keepCopy(lastGood);
    }
    if (!changed) return false;
    fileBytes_ = sha256Hex(bytes);
    current_ = std::make_shared<const Desired>(std::move(*parsed.desired));
    view_.loadedAt = std::chrono::system_clock::now();
    spdlog::info("desired={} event=loaded registries={}", view_.path, current_->registries.size());
    return true;
}

}  // namespace nodemirror
