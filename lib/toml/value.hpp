#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace nodemirror::toml_text {

struct Entry;

/// The keys of a table in the order of the file. They are found by hash once they are many: a file
/// of hostile size takes no time that grows with the square of it.
class Entries {
  public:
    const Entry* find(std::string_view key) const;
    Entry* find(std::string_view key);
    template <class Value>
    Entry& emplace_back(std::string key, Value value);
    template <class Predicate>
    void eraseIf(Predicate predicate);

    size_t size() const;
    bool empty() const;
    const Entry& operator[](size_t at) const;
    std::vector<Entry>::const_iterator begin() const;
    std::vector<Entry>::const_iterator end() const;

  private:
    static constexpr size_t kFew = 16;

    std::vector<Entry> all_;
    /// Of the first of each name; empty while they are few.
    std::unordered_map<std::string, size_t> places_;
};

/// A TOML value that remembers the order in which its keys were written, whichever dialect it was
/// read in. Dates, and numbers that are not whole, keep only their kind.
struct Value {
    enum class Kind { String, Boolean, Number, Time, Array, Table, TableArray };
    using Entry = toml_text::Entry;

    Kind kind = Kind::Table;
    std::string string;        ///< Kind::String
    bool boolean = false;      ///< Kind::Boolean
    int64_t integer = 0;       ///< Kind::Number, where it is whole and read by readTomlV2
    std::vector<Value> items;  ///< Kind::Array and Kind::TableArray
    Entries entries;           ///< Kind::Table
    int line = 0;              ///< from 1; go-toml 1.x gives inline tables 0
    bool isInline = false;     ///< Kind::Table: written as { … }

    bool isTable() const { return kind == Kind::Table; }
    /// The value of a key of this table; null when it has none.
    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    /// What a path of keys leads to, through tables alone; null where it leads to nothing.
    const Value* at(const std::vector<std::string>& path) const;

    static Value ofKind(Kind kind, int line);
};

struct Entry {
    Entry(std::string key, Value value) : first(std::move(key)), second(std::move(value)) {}
    std::string first;
    Value second;
};

static_assert(std::is_nothrow_move_constructible_v<Entry>, "tables grow by moving, not by copying");

inline size_t Entries::size() const { return all_.size(); }
inline bool Entries::empty() const { return all_.empty(); }
inline const Entry& Entries::operator[](size_t at) const { return all_[at]; }
inline std::vector<Entry>::const_iterator Entries::begin() const { return all_.begin(); }
inline std::vector<Entry>::const_iterator Entries::end() const { return all_.end(); }

inline const Entry* Entries::find(std::string_view key) const {
    if (places_.empty()) {
        for (const auto& entry : all_)
            if (entry.first == key) return &entry;
        return nullptr;
    }
    const auto place = places_.find(std::string(key));
    return place == places_.end() ? nullptr : &all_[place->second];
}

inline Entry* Entries::find(std::string_view key) {
    return const_cast<Entry*>(std::as_const(*this).find(key));
}

template <class Value>
Entry& Entries::emplace_back(std::string key, Value value) {
    all_.emplace_back(std::move(key), std::move(value));
    if (!places_.empty())
        places_.emplace(all_.back().first, all_.size() - 1);
    else if (all_.size() > kFew)
        for (size_t at = 0; at < all_.size(); ++at) places_.emplace(all_[at].first, at);
    return all_.back();
}

template <class Predicate>
void Entries::eraseIf(Predicate predicate) {
    std::vector<Entry> kept;
    for (auto& entry : all_)
        if (!predicate(std::as_const(entry))) kept.push_back(std::move(entry));
    all_.clear();
    places_.clear();
    for (auto& entry : kept) emplace_back(std::move(entry.first), std::move(entry.second));
}

inline const Value* Value::find(std::string_view key) const {
    const Entry* entry = entries.find(key);
    return entry == nullptr ? nullptr : &entry->second;
}

inline Value* Value::find(std::string_view key) {
    Entry* entry = entries.find(key);
    return entry == nullptr ? nullptr : &entry->second;
}

inline const Value* Value::at(const std::vector<std::string>& path) const {
    const Value* node = this;
    for (const auto& key : path)
        node = node != nullptr && node->isTable() ? node->find(key) : nullptr;
    return node;
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
    /// Of a valid one: what in it is TOML 1.1, which go-toml takes only from 2.4 on.
    std::optional<SyntaxError> newer;
};

}  // namespace nodemirror::toml_text
