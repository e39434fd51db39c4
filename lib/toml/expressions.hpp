#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nodemirror::toml_text {

/// One expression of a TOML document: a table header or a key with its value, with the bytes that
/// it takes. toml++ gives values and their places but not headers, and both the order in which
/// containerd 2.x tries hosts (getSortedHosts) and an edit that keeps every other byte need them.
struct Expression {
    enum class Kind { Table, ArrayTable, KeyValue };
    Kind kind = Kind::KeyValue;
    std::vector<std::string> key;  ///< the parts of the (dotted) key, unescaped
    size_t begin = 0;              ///< the first byte: '[' or the key's first
    size_t end = 0;                ///< past the last byte: past ']' or the value, before a comment
    size_t valueBegin = 0;         ///< KeyValue: the value's first byte
    size_t lineEnd = 0;            ///< past the newline that ends the expression's last line
};

/// The top-level expressions of `text` in order. The text must be valid TOML: on text that is not,
/// the scan stops where it cannot go on.
std::vector<Expression> scanExpressions(std::string_view text);

}  // namespace nodemirror::toml_text
