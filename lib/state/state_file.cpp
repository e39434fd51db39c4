#include "state/state_file.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "files/atomic_write.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace nodemirror {

namespace {

bool isAscii(const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Whether the text begins with one of U+EF80 to U+EFFF, which stand for bytes.
bool standsForByte(std::string_view text) {
    return text.size() >= 3 && text[0] == '\xee' && (text[1] == '\xbe' || text[1] == '\xbf') &&
           utf8Length(text) == 3;
}

std::string textOf(const std::string& bytes) {
    std::string out;
    for (std::string_view rest = bytes; !rest.empty();) {
        const size_t length = standsForByte(rest) ? 0 : utf8Length(rest);
        if (length > 0) {
            out += rest.substr(0, length);
        } else {
            const auto byte = static_cast<unsigned char>(rest.front());
            out += {'\xee', static_cast<char>(byte < 0xc0 ? 0xbe : 0xbf),
                    static_cast<char>(0x80U | (byte & 0x3fU))};
        }
        rest.remove_prefix(std::max<size_t>(length, 1));
    }
    return out;
}

std::string bytesOf(const std::string& text) {
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
        const bool stands = standsForByte(rest);
        const unsigned high = stands && rest[1] == '\xbf' ? 0xc0U : 0x80U;
        out += stands ? static_cast<char>(high | (static_cast<unsigned char>(rest[2]) & 0x3fU))
                      : rest.front();
        rest.remove_prefix(stands ? 3 : 1);
    }
    return out;
}

/// Changes every string in it, names of fields too.
template <class Change>
void changeStrings(StateJson& json, Change change) {
    if (json.is_string()) {
        auto& text = json.get_ref<std::string&>();
        if (!isAscii(text)) text = change(text);
    } else if (json.is_array()) {
        for (auto& item : json) changeStrings(item, change);
    } else if (json.is_object()) {
        bool renamed = false;
        for (auto& [name, value] : json.items()) {
            changeStrings(value, change);
            renamed = renamed || !isAscii(name);
        }
        if (!renamed) return;
        StateJson fresh = StateJson::object();
        for (auto& [name, value] : json.items()) fresh[change(name)] = std::move(value);
        json = std::move(fresh);
    }
}

}  // namespace

Result<void> writeStateText(const std::string& path, const std::string& content) {
    files::Access access;
    access.mode = 0600;
    return files::writeAtomically(path, content, access);
}

Error unreadableState(const std::string& path, const std::string& why, const std::string& loss) {
    return Error("read the daemon's state", path, why,
                 "restore it from a backup, or move it away to begin anew" +
                     (loss.empty() ? "" : ": " + loss));
}

Result<StateJson> readStateJson(const std::string& path, const std::string& loss) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) return StateJson();
    const auto text = readWholeFile(path, kLargestState, Writers::RootOnly);
    if (!text) return text.error();
    bool deep = false;
    const auto isShallow = [&deep](int depth, StateJson::parse_event_t, const StateJson&) {
        deep = deep || depth > kDeepestState;
        return depth <= kDeepestState;
    };
    StateJson json = StateJson::parse(*text, isShallow, false);
    if (deep || json.is_discarded() || !json.is_object())
        return unreadableState(path, "it is no valid JSON", loss);
    if (const auto version = json.find("version");
        version != json.end() && (!version->is_number_integer() || *version > kStateVersion))
        return unreadableState(path, "its version " + version->dump() + " is not known here", loss);
    changeStrings(json, bytesOf);
    return json;
}

Result<void> writeStateJson(const std::string& path, StateJson json) {
    changeStrings(json, textOf);
    json["version"] = kStateVersion;
    return writeStateText(path, json.dump(1) + "\n");
}

}  // namespace nodemirror
