#include "toml/read_v2.hpp"

// go-toml 2.4 takes what TOML 1.1 adds (escapes \\e and \\x, newlines and a last comma in inline
// tables); toml++ has it behind this switch, in its header-only form alone.
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_UNRELEASED_FEATURES 1
#include <toml++/toml.h>

#include <algorithm>

namespace nodemirror::toml_text {

namespace {

bool writtenBefore(const toml::node& a, const toml::node& b) {
    return a.source().begin < b.source().begin;
}

Value convert(const toml::node& node);

Value convertTable(const toml::table& table) {
    Value out = Value::ofKind(Value::Kind::Table, static_cast<int>(table.source().begin.line));
    out.isInline = table.is_inline();
    std::vector<std::pair<const toml::key*, const toml::node*>> ordered;
    for (const auto& [key, node] : table) ordered.emplace_back(&key, &node);
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
        return writtenBefore(*a.second, *b.second);
    });
    for (const auto& [key, node] : ordered)
        out.entries.emplace_back(std::string(key->str()), convert(*node));
    return out;
}

Value convertArray(const toml::array& array) {
    const bool tables =
        !array.empty() && std::all_of(array.begin(), array.end(), [](const toml::node& node) {
            return node.is_table() && !node.as_table()->is_inline();
        });
    Value out = Value::ofKind(tables ? Value::Kind::TableArray : Value::Kind::Array,
                              static_cast<int>(array.source().begin.line));
    for (const auto& node : array) out.items.push_back(convert(node));
    return out;
}

Value convert(const toml::node& node) {
    const int line = static_cast<int>(node.source().begin.line);
    if (const auto* table = node.as_table()) return convertTable(*table);
    if (const auto* array = node.as_array()) return convertArray(*array);
    if (const auto* text = node.as_string()) {
        Value out = Value::ofKind(Value::Kind::String, line);
        out.string = text->get();
        return out;
    }
    if (const auto* boolean = node.as_boolean()) {
        Value out = Value::ofKind(Value::Kind::Boolean, line);
        out.boolean = boolean->get();
        return out;
    }
    return Value::ofKind(node.is_number() ? Value::Kind::Number : Value::Kind::Time, line);
}

}  // namespace

ReadValue readTomlV2(std::string_view text) {
    ReadValue out;
    // go-toml 2.x takes a byte order mark for the first character of a key; toml++ passes over it.
    if (text.substr(0, 3) == "\xef\xbb\xbf") {
        out.error.message = "begins with a byte order mark";
        out.error.line = 1;
        return out;
    }
    try {
        out.root = convertTable(toml::parse(text));
        out.valid = true;
    } catch (const toml::parse_error& error) {
        out.error.message = std::string(error.description());
        out.error.line = static_cast<int>(error.source().begin.line);
    }
    return out;
}

}  // namespace nodemirror::toml_text
