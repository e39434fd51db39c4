#include "containerd_config/config_edit.hpp"
#include "targets.hpp"
#include "toml/edit.hpp"
#include "toml/expressions.hpp"
#include "toml/read_v2.hpp"

#include <algorithm>

namespace nodemirror::fuzz {

namespace {

using toml_text::Expression;
using toml_text::Value;
using Path = std::vector<std::string>;

const Path kTable{"plugins", "io.containerd.grpc.v1.cri", "registry"};
constexpr char kCertsDir[] = "/etc/containerd/certs.d";

const Value* valueAt(const std::string& text, const Path& path, Value& root) {
    auto read = toml_text::readTomlV2(text);
    expect(read.valid, "an edited text is valid TOML");
    root = std::move(read.root);
    const Value* node = &root;
    for (const auto& key : path)
        node = node != nullptr && node->isTable() ? node->find(key) : nullptr;
    return node;
}

bool isSubsequence(std::string_view part, std::string_view whole) {
    size_t at = 0;
    for (size_t i = 0; i < whole.size() && at < part.size(); ++i)
        if (whole[i] == part[at]) ++at;
    return at == part.size();
}

/// What is left of a text without the bytes that it has in common with another at both ends.
std::string_view middle(std::string_view text, std::string_view other) {
    size_t head = 0;
    while (head < std::min(text.size(), other.size()) && text[head] == other[head]) ++head;
    size_t tail = 0;
    while (tail < std::min(text.size(), other.size()) - head &&
           text[text.size() - 1 - tail] == other[other.size() - 1 - tail])
        ++tail;
    return text.substr(head, text.size() - head - tail);
}

/// The bytes that an edit may take away: the value that was there.
size_t oldValueSize(const std::string& text) {
    Value root;
    auto full = kTable;
    full.emplace_back("config_path");
    const Value* old = valueAt(text, full, root);
    if (old == nullptr) return 0;
    size_t most = 0;
    for (const auto& expression : toml_text::scanExpressions(text))
        if (expression.kind == Expression::Kind::KeyValue)
            most = std::max(most, expression.end - expression.valueBegin);
    return most;
}

void checkSet(const std::string& text) {
    const auto after = toml_text::setString(text, kTable, "config_path", kCertsDir);
    if (!after) {
        expect(!after.error().remedy().empty(), "a refusal says what to do by hand");
        return;
    }
    Value root;
    auto full = kTable;
    full.emplace_back("config_path");
    const Value* value = valueAt(*after, full, root);
    expect(value != nullptr && value->string == kCertsDir, "the value is set");
    expect(middle(text, *after).size() <= oldValueSize(text), "nothing else is taken away");
    const auto again = toml_text::setString(*after, kTable, "config_path", kCertsDir);
    expect(again && *again == *after, "setting it again changes nothing");
}

void checkRemove(const std::string& text) {
    Path mirrors = kTable;
    mirrors.emplace_back("mirrors");
    const auto after = toml_text::removePaths(text, {mirrors});
    if (!after) {
        expect(!after.error().remedy().empty(), "a refusal says what to do by hand");
        return;
    }
    Value root;
    expect(valueAt(*after, mirrors, root) == nullptr, "the table is gone");
    expect(isSubsequence(*after, text), "nothing is added");
    // Comments of whole lines outside values stay: every expression that stays keeps its bytes.
    for (const auto& expression : toml_text::scanExpressions(*after))
        expect(text.find(after->substr(expression.begin, expression.end - expression.begin)) !=
                   std::string::npos,
               "what stays is byte-identical");
}

}  // namespace

/// What is not the daemon's in config.toml stays byte for byte, and the result reads as intended.
void configEditor(std::string_view input) {
    const std::string text(input);
    if (!toml_text::readTomlV2(text).valid) {
        expect(!toml_text::setString(text, kTable, "config_path", kCertsDir),
               "a text that is no TOML is not edited");
        return;
    }
    checkSet(text);
    checkRemove(text);
    (void)redactConfig(text);
}

}  // namespace nodemirror::fuzz
