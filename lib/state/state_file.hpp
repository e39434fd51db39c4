#pragma once

#include "base/result.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <string>
#include <utility>

namespace nodemirror {

/// A JSON file of the daemon's state. Its strings may be any bytes, for names on disk and header
/// values are not always UTF-8: a byte that is none is kept as the character U+EF00 + byte.
using StateJson = nlohmann::ordered_json;

constexpr size_t kLargestState = 256U << 20;
constexpr int kDeepestState = 32;
/// Written into every file; raised when an older daemon must not act on what a newer one wrote.
constexpr int kStateVersion = 1;

/// Mode 0600, atomic, and synced before it returns.
Result<void> writeStateText(const std::string& path, const std::string& content);

/// Null when there is no such file; an error where it is empty, another user may have written it,
/// or a later version of the daemon did. `loss`: what it costs to begin anew without the file.
Result<StateJson> readStateJson(const std::string& path, const std::string& loss = "");
Result<void> writeStateJson(const std::string& path, StateJson json);

/// What cannot be made sense of, with what it takes to go on without it.
Error unreadableState(const std::string& path, const std::string& why, const std::string& loss);

/// One of the known words: what another means cannot be guessed.
template <class T>
T oneOf(const char* what, const std::string& word,
        std::initializer_list<std::pair<const char*, T>> known) {
    for (const auto& [name, value] : known)
        if (word == name) return value;
    throw StateJson::other_error::create(501, std::string("unknown ") + what + " " + inQuotes(word),
                                         nullptr);
}

/// Reads a state file with `read`, turning what JSON throws for a missing field into an Error.
template <class T, class Read>
Result<T> decodeStateJson(const std::string& path, Read read, const std::string& loss = "") {
    const auto json = readStateJson(path, loss);
    if (!json) return json.error();
    try {
        T out;
        if (!json->is_null()) read(*json, out);
        return out;
    } catch (const nlohmann::json::exception& error) {
        return unreadableState(path, error.what(), loss);
    }
}

}  // namespace nodemirror
