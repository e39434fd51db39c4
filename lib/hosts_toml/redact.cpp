#include "hosts_toml/redact.hpp"

#include <regex>

#include "base/text.hpp"

namespace nodemirror {

std::string redactHostsToml(const std::string& text) {
    static const std::regex headerTable(R"(^\s*\[.*header["']?\s*\])", std::regex::icase);
    static const std::regex table(R"(^\s*\[[^,]*\]\s*(#.*)?$)");
    static const std::regex entry(R"(^(\s*[^=#]+=).*$)");
    static const std::regex inlineHeader(R"(header["']?\s*[.=])", std::regex::icase);
    std::string out;
    bool inHeader = false;
    for (const auto& raw : split(text, '\n')) {
        std::string line = withoutCredentials(raw);
        if (std::regex_search(line, table)) {
            inHeader = std::regex_search(line, headerTable);
        } else if (inHeader || std::regex_search(line, inlineHeader)) {
            const bool blank = trim(line).empty() || trim(line).front() == '#';
            if (std::regex_match(line, entry))
                line = std::regex_replace(line, entry, "$1 \"<redacted>\"");
            else if (!blank)
                line = "  <redacted>";
        }
        out += line + "\n";
    }
    if (!out.empty()) out.pop_back();  // split gives one part more than there are newlines
    return out;
}

}  // namespace nodemirror
