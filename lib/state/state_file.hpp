#pragma once

#include "base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace nodemirror {

/// A JSON file of the daemon's state. Its strings may be any bytes, for names on disk and header
/// values are not always UTF-8: a byte that is none is kept as the character U+EF00 + byte.
using StateJson = nlohmann::ordered_json;

constexpr size_t kLargestState = 256U << 20;
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
