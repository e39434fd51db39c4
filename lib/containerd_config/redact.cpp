#include <regex>

#include "base/text.hpp"
#include "containerd_config/config_reader.hpp"

namespace nodemirror {

std::string redactConfig(const std::string& text) {
    static const std::regex secret(
        R"((.*(password|auth|token|secret|username|authorization|header)[^=]*=).*)",
        std::regex::icase);
    std::string out;
    for (const auto& line : split(text, '\n'))
        out += std::regex_replace(withoutCredentials(line), secret, "$1 \"<redacted>\"") + "\n";
    out.pop_back();  // split gives one part more than there are newlines
    return out;
}

}  // namespace nodemirror
