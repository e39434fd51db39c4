#include "toml/redact.hpp"

#include "base/text.hpp"
#include "toml/expressions.hpp"
#include "toml/read_v2.hpp"

#include <algorithm>

namespace nodemirror::toml_text {

namespace {

bool mentions(std::string_view text, const std::vector<std::string>& words) {
    const std::string small = lower(text);
    return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
        return small.find(word) != std::string::npos;
    });
}

bool mentions(const std::vector<std::string>& keys, const std::vector<std::string>& words) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const std::string& key) { return mentions(key, words); });
}

/// What stands between two expressions: blanks, newlines and comments. Comments go.
std::string withoutComments(std::string_view gap) {
    std::string out;
    bool comment = false;
    for (const char c : gap) {
        if (c == '#') comment = true;
        if (c == '\n') comment = false;
        if (!comment) out += c;
    }
    return out;
}

}  // namespace

std::string redactToml(const std::string& text, const std::vector<std::string>& words) {
    if (text.empty()) return "";
    if (!readTomlV2(text).valid) return "# <not shown: it is no valid TOML>\n";
    std::string out;
    size_t copied = 0;
    bool secretTable = false;
    for (const auto& expression : scanExpressions(text)) {
        const std::string_view gap =
            std::string_view(text).substr(copied, expression.begin - copied);
        out += secretTable || mentions(gap, words) ? withoutComments(gap) : std::string(gap);
        copied = expression.end;
        if (expression.kind != Expression::Kind::KeyValue) {
            secretTable = mentions(expression.key, words);
            out += text.substr(expression.begin, expression.end - expression.begin);
            continue;
        }
        const std::string value =
            text.substr(expression.valueBegin, expression.end - expression.valueBegin);
        const bool compound = value.front() == '{' || value.front() == '[';
        // An escape may stand for any letter of a key in it.
        const bool mayHoldSecret =
            compound && (mentions(value, words) || value.find('\\') != std::string::npos);
        const bool secret = secretTable || mentions(expression.key, words) || mayHoldSecret;
        out += text.substr(expression.begin, expression.valueBegin - expression.begin);
        out += secret ? "\"<redacted>\"" : value;
    }
    const std::string_view rest = std::string_view(text).substr(copied);
    out += secretTable || mentions(rest, words) ? withoutComments(rest) : std::string(rest);
    // In names of tables and in comments too: [host."https://user:password@mirror"].
    return withoutCredentials(out);
}

}  // namespace nodemirror::toml_text
