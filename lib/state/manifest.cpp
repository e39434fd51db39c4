/// manifest.json: what the daemon owns, and what was there before.
#include "state/state_dir.hpp"
#include "state/state_file.hpp"

namespace nodemirror {

namespace {

using Json = StateJson;

const char* typeName(BackedUpEntry::Type type) {
    switch (type) {
        case BackedUpEntry::Type::File: return "file";
        case BackedUpEntry::Type::Symlink: return "symlink";
        case BackedUpEntry::Type::Aside: return "aside";
    }
    return "";
}

BackedUpEntry::Type typeOf(const std::string& name) {
    using Type = BackedUpEntry::Type;
    return oneOf<Type>("type of what was kept", name,
                       {{typeName(Type::File), Type::File},
                        {typeName(Type::Symlink), Type::Symlink},
                        {typeName(Type::Aside), Type::Aside}});
}

Json toJson(const Ownership& ownership) {
    Json backups = Json::array();
    for (const auto& entry : ownership.backups) {
        Json item;
        item["path"] = entry.path;
        item["type"] = typeName(entry.type);
        item["mode"] = entry.mode;
        item["uid"] = entry.uid;
        item["gid"] = entry.gid;
        item["stored"] = entry.stored;
        item["sha256"] = entry.sha256;
        if (entry.legacy) item["legacy"] = true;
        backups.push_back(std::move(item));
    }
    Json out;
    out["digests"] = ownership.digests;
    out["pruned"] = ownership.pruned;
    if (!ownership.placed) out["placed"] = false;
    out["backups"] = std::move(backups);
    return out;
}

Ownership ownershipFrom(const std::string& directory, const Json& json) {
    Ownership out;
    out.directory = directory;
    out.digests = json.at("digests").get<std::vector<std::string>>();
    out.pruned = json.at("pruned").get<bool>();
    out.placed = json.value("placed", true);
    for (const auto& item : json.at("backups")) {
        BackedUpEntry entry;
        entry.path = item.at("path").get<std::string>();
        entry.type = typeOf(item.at("type").get<std::string>());
        entry.mode = item.at("mode").get<mode_t>();
        entry.uid = item.at("uid").get<uid_t>();
        entry.gid = item.at("gid").get<gid_t>();
        entry.stored = item.at("stored").get<std::string>();
        entry.sha256 = item.at("sha256").get<std::string>();
        entry.legacy = item.value("legacy", false);
        out.backups.push_back(std::move(entry));
    }
    return out;
}

}  // namespace

Result<Manifest> StateDir::loadManifest() const {
    return decodeStateJson<Manifest>(
        path_ + "/manifest.json",
        [](const Json& json, Manifest& out) {
            for (const auto& [directory, item] : json.at("owned").items())
                out.emplace(directory, ownershipFrom(directory, item));
        },
        "files that the daemon wrote then count as the user's own");
}

Result<void> StateDir::saveManifest(const Manifest& manifest) const {
    Json owned = Json::object();
    for (const auto& [directory, ownership] : manifest) owned[directory] = toJson(ownership);
    Json json;
    json["owned"] = std::move(owned);
    return writeStateJson(path_ + "/manifest.json", std::move(json));
}

}  // namespace nodemirror
