#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nodemirror::toml_text {

struct Entry;

/// A TOML value that remembers the order in which its keys were written, whichever dialect it was
/// read in. Dates, and numbers that are not whole, keep only their kind.
struct Value {
    enum class Kind { String, Boolean, Number, Time, Array, Table, TableArray };
    using Entry = toml_text::Entry;

    Kind kind = Kind::Table;
    std::string string;          ///< Kind::String
    bool boolean = false;        ///< Kind::Boolean
    int64_t integer = 0;         ///< Kind::Number, where it is whole and read by readTomlV2
    std::vector<Value> items;    ///< Kind::Array and Kind::TableArray
    std::vector<Entry> entries;  ///< Kind::Table, in the order of the file
    int line = 0;                ///< from 1; go-toml 1.x gives inline tables 0
    bool isInline = false;       ///< Kind::Table: written as { … }

    bool isTable() const { return kind == Kind::Table; }
    /// The value of a key of this table; null when it has none.
    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);

    static Value ofKind(Kind kind, int line);
};

struct Entry {
    Entry(std::string key, Value value) : first(std::move(key)), second(std::move(value)) {}
    std::string first;
    Value second;
};

inline const Value* Value::find(std::string_view key) const {
    for (const auto& [name, value] : entries)
        if (name == key) return &value;
    return nullptr;
}

inline Value* Value::find(std::string_view key) {
    for (auto& [name, value] : entries)
        if (name == key) return &value;
    return nullptr;
}

inline Value Value::ofKind(Kind kind, int line) {
    Value value;
    value.kind = kind;
    value.line = line;
    return value;
}

/// Of the parts of a key no more are read: every part is a table in a table, and tables are gone
/// through by recursion. No real file comes near.
inline constexpr size_t kMostParts = 24;

/// Why a file cannot be read.
struct SyntaxError {
    std::string message;
    int line = 0;          ///< from 1; 0 when unknown
    bool crashes = false;  ///< the parser that is imitated would end the whole process
};

struct ReadValue {
    Value root;
    bool valid = false;
    SyntaxError error;  ///< only when not valid
};

}  // namespace nodemirror::toml_text
