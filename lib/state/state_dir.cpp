#include "state/state_dir.hpp"

#include "base/digest.hpp"
#include "state/state_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace nodemirror {

namespace {

using Json = StateJson;

/// A directory that others may write could have any state planted in it.
Result<void> makeDirectory(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) return {};
    if (errno != EEXIST) return Error::system("create", path, errno);
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return Error::system("use", path, errno);
    if (!S_ISDIR(status.st_mode)) return Error("use", path, "it is no directory", "move it away");
    if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return Error("use", path, "others than the daemon's user may write in it",
                     "look at what is there, then: chown root " + path + " && chmod 700 " + path);
    return {};
}

}  // namespace

Result<void> StateDir::ensure() const {
    if (const auto made = makeDirectory(path_); !made) return made;
    return makeDirectory(path_ + "/backups");
}

Result<LastGood> StateDir::loadLastGood() const {
    return decodeStateJson<LastGood>(
        path_ + "/last-good.json", [](const Json& json, LastGood& out) {
            out.yaml = json.at("yaml").get<std::string>();
            out.headerFiles = json.at("headerFiles").get<std::map<std::string, std::string>>();
        });
}

Result<void> StateDir::saveLastGood(const LastGood& lastGood) const {
    Json json;
    json["yaml"] = lastGood.yaml;
    json["headerFiles"] = lastGood.headerFiles;
    return writeStateJson(path_ + "/last-good.json", std::move(json));
}

Result<RestartHistory> StateDir::loadRestarts() const {
    return decodeStateJson<RestartHistory>(
        path_ + "/restarts.json", [](const Json& json, RestartHistory& out) {
            for (const auto& [unit, times] : json.at("units").items())
                for (const auto& time : times)
                    out[unit].push_back(wallTimeOf(std::chrono::milliseconds(time.get<int64_t>())));
        });
}

Result<void> StateDir::saveRestarts(const RestartHistory& history) const {
    Json units = Json::object();
    for (const auto& [unit, times] : history) {
        Json list = Json::array();
        for (const auto& time : times)
            list.push_back(
                std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch())
                    .count());
        units[unit] = std::move(list);
    }
    Json json;
    json["units"] = std::move(units);
    return writeStateJson(path_ + "/restarts.json", std::move(json));
}

Result<ConfigEditRecord> StateDir::loadConfigEdit() const {
    return decodeStateJson<ConfigEditRecord>(
        path_ + "/config-edit.json", [](const Json& json, ConfigEditRecord& out) {
            using Stage = ConfigEditRecord::Stage;
            out.stage = oneOf<Stage>("stage of an edit", json.at("stage").get<std::string>(),
                                     {{"none", Stage::None},
                                      {"applying", Stage::Applying},
                                      {"rolled-back", Stage::RolledBack}});
            out.fingerprint = json.at("fingerprint").get<std::string>();
            out.error = json.at("error").get<std::string>();
            out.restartOwed = json.at("restartOwed").get<bool>();
            out.unreadBy = json.value("unreadBy", "");
            for (const auto& item : json.at("files")) {
                ConfigEditRecord::File file;
                file.path = item.at("path").get<std::string>();
                file.existed = item.at("existed").get<bool>();
                file.backup = item.at("backup").get<std::string>();
                file.afterSha256 = item.at("afterSha256").get<std::string>();
                out.files.push_back(std::move(file));
            }
        });
}

Result<void> StateDir::saveConfigEdit(const ConfigEditRecord& record) const {
    Json list = Json::array();
    for (const auto& file : record.files) {
        Json item;
        item["path"] = file.path;
        item["existed"] = file.existed;
        item["backup"] = file.backup;
        item["afterSha256"] = file.afterSha256;
        list.push_back(std::move(item));
    }
    Json json;
    json["stage"] = record.stage == ConfigEditRecord::Stage::Applying     ? "applying"
                    : record.stage == ConfigEditRecord::Stage::RolledBack ? "rolled-back"
                                                                          : "none";
    json["fingerprint"] = record.fingerprint;
    json["error"] = record.error;
    json["restartOwed"] = record.restartOwed;
    json["unreadBy"] = record.unreadBy;
    json["files"] = std::move(list);
    return writeStateJson(path_ + "/config-edit.json", std::move(json));
}

Result<bool> StateDir::knowsConfig(const std::string& path) const {
    const auto known = decodeStateJson<std::string>(
        path_ + "/config-seen.json",
        [](const Json& json, std::string& out) { out = json.at("path").get<std::string>(); });
    if (!known) return known.error();
    return *known == path;
}

Result<void> StateDir::rememberConfig(const std::string& path) const {
    const auto known = knowsConfig(path);
    if (known && *known) return {};
    Json json;
    json["path"] = path;
    return writeStateJson(path_ + "/config-seen.json", std::move(json));
}

Result<std::string> StateDir::loadCertsReader() const {
    return decodeStateJson<std::string>(
        path_ + "/certs-reader.json",
        [](const Json& json, std::string& out) { out = json.at("process").get<std::string>(); });
}

Result<void> StateDir::saveCertsReader(const std::string& process) const {
    Json json;
    json["process"] = process;
    return writeStateJson(path_ + "/certs-reader.json", std::move(json));
}

Result<std::set<std::string>> StateDir::loadDownMirrors() const {
    return decodeStateJson<std::set<std::string>>(
        path_ + "/mirrors.json", [](const Json& json, std::set<std::string>& out) {
            out = json.at("down").get<std::set<std::string>>();
        });
}

Result<void> StateDir::saveDownMirrors(const std::set<std::string>& keys) const {
    Json json;
    json["down"] = keys;
    return writeStateJson(path_ + "/mirrors.json", std::move(json));
}

Result<Proofs> StateDir::loadProofs() const {
    return decodeStateJson<Proofs>(path_ + "/proofs.json", [](const Json& json, Proofs& out) {
        for (const auto& [name, item] : json.at("registries").items()) {
            ProofRecord record;
            record.knownGood = item.at("knownGood").get<std::string>();
            record.secret = item.at("secret").get<bool>();
            record.declaredSha256 = item.value("declared", sha256Hex(record.knownGood));
            record.rejectedSha256 = item.at("rejected").get<std::string>();
            record.rejectedAt =
                wallTimeOf(std::chrono::seconds(item.at("rejectedAt").get<int64_t>()));
            record.evidence = item.at("evidence").get<std::string>();
            out[name] = std::move(record);
        }
    });
}

Result<void> StateDir::saveProofs(const Proofs& proofs) const {
    Json registries = Json::object();
    for (const auto& [name, record] : proofs) {
        Json item;
        item["knownGood"] = record.knownGood;
        item["declared"] = record.declaredSha256;
        item["secret"] = record.secret;
        item["rejected"] = record.rejectedSha256;
        item["rejectedAt"] =
            std::chrono::duration_cast<std::chrono::seconds>(record.rejectedAt.time_since_epoch())
                .count();
        item["evidence"] = record.evidence;
        registries[name] = std::move(item);
    }
    Json json;
    json["registries"] = std::move(registries);
    return writeStateJson(path_ + "/proofs.json", std::move(json));
}

}  // namespace nodemirror
