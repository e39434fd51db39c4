#include "base/diff.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace nodemirror {

namespace {

struct Line {
    char mark = ' ';  ///< ' ', '-' or '+'
    std::string text;
};

std::vector<std::string> lines(const std::string& text) {
    if (text.empty()) return {};
    auto out = split(text, '\n');
    if (out.back().empty()) out.pop_back();
    return out;
}

/// Past this many table cells the texts are shown as removed and added whole.
constexpr size_t kMostCells = 4'000'000;

std::vector<Line> align(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    std::vector<Line> out;
    if (a.size() * b.size() > kMostCells) {
        for (const auto& line : a) out.push_back({'-', line});
        for (const auto& line : b) out.push_back({'+', line});
        return out;
    }
    // Longest common subsequence of the ends of both texts.
    const size_t width = b.size() + 1;
    std::vector<uint32_t> common((a.size() + 1) * width, 0);
    for (size_t i = a.size(); i-- > 0;)
        for (size_t j = b.size(); j-- > 0;)
            common[i * width + j] =
                a[i] == b[j] ? common[(i + 1) * width + j + 1] + 1
                             : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    size_t i = 0;
    size_t j = 0;
    while (i < a.size() || j < b.size()) {
        if (i < a.size() && j < b.size() && a[i] == b[j]) {
            out.push_back({' ', a[i]});
            ++i;
            ++j;
        } else if (i < a.size() &&
                   (j == b.size() || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
            out.push_back({'-', a[i++]});
        } else {
            out.push_back({'+', b[j++]});
        }
    }
    return out;
}

std::string range(size_t begin, size_t count) {
    const size_t shown = count == 0 ? begin : begin + 1;
    return std::to_string(shown) + "," + std::to_string(count);
}

}  // namespace

std::string unifiedDiff(const std::string& from, const std::string& before, const std::string& to,
                        const std::string& after) {
    if (before == after) return "";
    constexpr size_t kContext = 3;
    const auto all = align(lines(before), lines(after));
    std::string out = "--- " + from + "\n+++ " + to + "\n";
    size_t oldLine = 0;
    size_t newLine = 0;
    for (size_t at = 0; at < all.size();) {
        size_t change = at;
        while (change < all.size() && all[change].mark == ' ') ++change;
        if (change == all.size()) break;
        const size_t begin = std::max(at, change - std::min(change, kContext));
        oldLine += begin - at;
        newLine += begin - at;
        // A hunk goes on while the next change is near enough for their contexts to touch.
        size_t end = change;
        for (size_t next = change; next < all.size() && next <= end + 2 * kContext; ++next)
            if (all[next].mark != ' ') end = next;
        end = std::min(end + kContext + 1, all.size());
        std::string body;
        size_t removed = 0;
        size_t added = 0;
        for (size_t i = begin; i < end; ++i) {
            body += all[i].mark + all[i].text + "\n";
            if (all[i].mark != '+') ++removed;
            if (all[i].mark != '-') ++added;
        }
        out += "@@ -" + range(oldLine, removed) + " +" + range(newLine, added) + " @@\n" + body;
        oldLine += removed;
        newLine += added;
        at = end;
    }
    return out;
}

}  // namespace nodemirror
