#include "containerd_config/merge.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <optional>

namespace nodemirror {

namespace {

using toml_text::Value;

constexpr char kCri[] = "io.containerd.grpc.v1.cri";
constexpr char kImages[] = "io.containerd.cri.v1.images";

std::string stringAt(const Value& root, const std::vector<std::string>& path) {
    const Value* value = root.at(path);
    return value != nullptr && value->kind == Value::Kind::String ? value->string : "";
}

void readMirrors(const ConfigFile& file, const Value& registry, ContainerdConfig& out) {
    const Value* mirrors = registry.find("mirrors");
    if (mirrors == nullptr || !mirrors->isTable()) return;
    for (const auto& [name, value] : mirrors->entries) {
        LegacyMirror mirror;
        mirror.registry = name;
        mirror.file = file.path;
        const Value* endpoints = value.isTable() ? value.find("endpoint") : nullptr;
        if (endpoints != nullptr)
            for (const auto& item : endpoints->items)
                mirror.endpoints.push_back(withoutCredentials(item.string));
        out.mirrors.push_back(std::move(mirror));
    }
}

void readTls(const ConfigFile& file, const Value& registry, ContainerdConfig& out) {
    const Value* configs = registry.find("configs");
    if (configs == nullptr || !configs->isTable()) return;
    for (const auto& [name, value] : configs->entries) {
        if (!value.isTable()) continue;
        LegacyHost host;
        host.host = name;
        host.ca = stringAt(value, {"tls", "ca_file"});
        host.cert = stringAt(value, {"tls", "cert_file"});
        host.key = stringAt(value, {"tls", "key_file"});
        const Value* insecure = value.at({"tls", "insecure_skip_verify"});
        host.skipVerify = insecure != nullptr && insecure->boolean;
        host.hasAuth = value.find("auth") != nullptr;
        out.hosts.push_back(std::move(host));
        if (value.find("tls") == nullptr) continue;
        out.tlsHosts.push_back({name, file.path});
    }
}

/// Follows what makes CRI pull by itself. The last file that has a setting decides on it.
void readLocalPull(const Value& plugin, bool oldName, std::set<std::string>& out) {
    const auto note = [&out](const Value& table, const char* key, const auto& isLocal) {
        const Value* value = table.find(key);
        if (value == nullptr) return;
        if (isLocal(*value))
            out.insert(key);
        else
            out.erase(key);
    };
    const auto isTrue = [](const Value& value) { return value.boolean; };
    const auto isFalse = [](const Value& value) { return !value.boolean; };
    const auto isFull = [](const Value& value) { return !value.entries.empty(); };
    note(plugin, "max_concurrent_downloads", [](const Value& value) { return value.integer != 3; });
    note(plugin, "image_pull_with_sync_fs", isTrue);
    if (!oldName) note(plugin, "use_local_image_pull", isTrue);
    if (const Value* registry = plugin.find("registry"); registry != nullptr)
        for (const char* legacy : {"mirrors", "configs", "auths"}) note(*registry, legacy, isFull);
    // Under the old name these two are taken over only beside a table of runtimes.
    const Value* snapshots = oldName ? plugin.find("containerd") : &plugin;
    if (snapshots == nullptr || (oldName && snapshots->find("runtimes") == nullptr)) return;
    note(*snapshots, "disable_snapshot_annotations", isFalse);
    note(*snapshots, "discard_unpacked_layers", isTrue);
}

bool hasCriSection(const ConfigFile& file) {
    return file.root.at({"plugins", file.registryPlugin}) != nullptr;
}

/// A registry table under the old name in a file of version 3, which from 2.3 on takes the place of
/// the one under the new name, whichever file that is in.
bool hasMigratedRegistry(const ConfigFile& file, const ContainerdVersion& containerd) {
    return containerd.migratesOldPluginNames() && file.declared == 3 &&
           file.root.at({"plugins", kCri, "registry"}) != nullptr;
}

void forgetRegistry(ContainerdConfig& out) {
    out.configPath.clear();
    out.configPathFile.clear();
    out.mirrors.clear();
    out.hosts.clear();
    out.tlsHosts.clear();
    for (const char* legacy : {"mirrors", "configs", "auths"}) out.localPull.erase(legacy);
}

std::vector<std::string> sandboxPath(const std::string& plugin) {
    return plugin == kImages ? std::vector<std::string>{"pinned_images", "sandbox"}
                             : std::vector<std::string>{"sandbox_image"};
}

/// Merges one file's section of a plugin into what those before it said.
void mergeSection(const ConfigFile& file, const std::string& plugin, ContainerdConfig& out) {
    const Value* section = file.root.at({"plugins", plugin});
    if (section == nullptr) return;
    // An empty value is one too: it takes away what a file before it said.
    const Value* sandbox = section->at(sandboxPath(plugin));
    if (sandbox != nullptr) out.sandboxImage = sandbox->string;
    readLocalPull(*section, plugin != kImages, out.localPull);
    const Value* registry = section->at({"registry"});
    if (registry == nullptr || !registry->isTable()) return;
    if (const Value* configPath = registry->find("config_path"); configPath != nullptr) {
        out.configPath = configPath->string;
        out.configPathFile = file.path;
    }
    readMirrors(file, *registry, out);
    readTls(file, *registry, out);
}

void noteDisabled(const ConfigFile& file, ContainerdConfig& out) {
    const Value* disabled = file.root.find("disabled_plugins");
    if (disabled == nullptr) return;
    for (const auto& item : disabled->items)  // the lists of all files add up
        if (item.string == "cri" || item.string == kCri || item.string == kImages)
            out.criDisabled = true;
}

/// The version that the last file with one declares, of those from `least` on; nothing where none.
std::optional<int64_t> lastVersion(const ContainerdConfig& config, int64_t least) {
    std::optional<int64_t> out;
    for (const auto& file : config.files)
        if (file.declared >= least) out = file.declared;
    return out;
}

/// 1.x: a file's section takes the place of those before it. All are of the version that the last
/// one declares; one of version 1 names plugins by their short ids.
void mergeReplacing(ContainerdConfig& out) {
    const bool old = lastVersion(out, 1).value_or(1) < 2;
    for (auto& file : out.files) {
        file.registryPlugin = old ? "cri" : kCri;
        if (hasCriSection(file)) {
            forgetRegistry(out);
            out.sandboxImage.clear();
        }
        mergeSection(file, file.registryPlugin, out);
    }
}

bool hasRegistry(const ConfigFile& file, const std::string& plugin) {
    return file.root.at({"plugins", plugin, "registry"}) != nullptr;
}

/// What CRI was called before 2.0. A file of version 1, or of none, may have the short name, which
/// is spelt out when it is loaded (v1Migrate).
std::vector<std::string> oldNames(const ConfigFile& file) {
    return file.declared < 2 ? std::vector<std::string>{"cri", kCri}
                             : std::vector<std::string>{kCri};
}

/// The old name under which a file has CRI's section, or would have one: of two sections containerd
/// takes either, by chance.
std::string oldName(const ConfigFile& file) {
    return file.declared < 2 && file.root.at({"plugins", kCri}) == nullptr ? "cri" : kCri;
}

bool hasOldRegistry(const ConfigFile& file) { return hasRegistry(file, oldName(file)); }

/// Takes over what stands under the old names: its registry replaces the other one
/// (configMigration of plugins/cri/images).
void mergeOld(ContainerdConfig& out) {
    if (std::any_of(out.files.begin(), out.files.end(), hasOldRegistry)) forgetRegistry(out);
    for (const auto& file : out.files)
        for (const auto& name : oldNames(file)) mergeSection(file, name, out);
}

/// 2.0 to 2.2: all files are merged first. What came of them is of the version that the last file
/// with one says, and of 3 where none says any; the old names are taken over below that (LoadConfig
/// of cmd/containerd/server/config, New of cmd/containerd/server). A file of version 1 is taken for
/// one of the version so far, and only has its names spelt out.
void mergeTogether(ContainerdConfig& out) {
    for (const auto& file : out.files) mergeSection(file, kImages, out);
    const bool takenOver = lastVersion(out, 2).value_or(3) < 3;
    if (takenOver) mergeOld(out);
    const auto hasNew = [](const ConfigFile& file) { return hasRegistry(file, kImages); };
    const bool oldDecides =
        takenOver && std::any_of(out.files.begin(), out.files.end(), hasOldRegistry);
    const bool newDecides =
        !takenOver || (!oldDecides && std::any_of(out.files.begin(), out.files.end(), hasNew));
    for (auto& file : out.files) file.registryPlugin = newDecides ? kImages : oldName(file);
}

/// From 2.3 on: each file is migrated by itself, and then they are merged.
void mergeMigrated(const ContainerdVersion& containerd, ContainerdConfig& out) {
    for (auto& file : out.files) {
        const bool old = file.declared < 3 ? hasOldRegistry(file) || !hasRegistry(file, kImages)
                                           : hasMigratedRegistry(file, containerd);
        file.registryPlugin = old ? oldName(file) : kImages;
        mergeSection(file, kImages, out);
        if (file.declared < 3)
            for (const auto& name : oldNames(file)) mergeSection(file, name, out);
    }
    for (const auto& file : out.files)
        if (hasMigratedRegistry(file, containerd)) forgetRegistry(out);
    for (const auto& file : out.files)
        if (file.declared == 3) mergeSection(file, kCri, out);
}

/// Four parts: what ValidateV2 of 1.6 wants, and of 1.7 at the least.
bool isPluginUri(const std::string& name) { return std::count(name.begin(), name.end(), '.') >= 3; }

/// The version that 2.x has to know: the last one, or an unknown one that a file of version 1, or
/// of none, is to be migrated to, as it is to the version so far.
int64_t versionAsked(const ContainerdConfig& config, int highest) {
    int64_t soFar = 0;
    for (const auto& file : config.files) {
        if (file.declared < 2 && soFar > highest) break;
        if (file.declared >= 2) soFar = file.declared;
    }
    return soFar;
}

/// What keeps containerd from starting, by the versions of the files.
std::string wrongVersion(const ContainerdVersion& containerd, const ContainerdConfig& config) {
    const int highest = containerd.highestConfigVersion();
    const int64_t version = containerd.importsReplaceSections() ? lastVersion(config, 1).value_or(0)
                                                                : versionAsked(config, highest);
    if (highest > 0 && version > highest)
        return "containerd " + containerd.text() + " knows no version " + std::to_string(version) +
               " of it, but up to " + std::to_string(highest);
    if (!containerd.importsReplaceSections() || version < 2) return "";
    for (const auto& file : config.files)
        if (const Value* plugins = file.root.find("plugins"); plugins != nullptr)
            for (const auto& [name, section] : plugins->entries)
                if (!isPluginUri(name))
                    return file.path + " names the plugin " + inQuotes(name) +
                           ", which from version 2 on must be written as io.containerd.x.vx";
    return "";
}

/// Where a key has a value of another kind than CRI takes; empty where none has.
std::string wrongKind(const ConfigFile& file) {
    using Kind = Value::Kind;
    struct Wanted {
        std::vector<std::string> path;
        Kind kind;
    };
    const std::vector<std::string> plugin{"plugins", file.registryPlugin};
    for (const auto& [below, kind] :
         std::vector<Wanted>{{{}, Kind::Table},
                             {sandboxPath(file.registryPlugin), Kind::String},
                             {{"registry"}, Kind::Table},
                             {{"registry", "config_path"}, Kind::String},
                             {{"registry", "mirrors"}, Kind::Table}}) {
        std::vector<std::string> path = plugin;
        path.insert(path.end(), below.begin(), below.end());
        const Value* value = file.root.at(path);
        if (value != nullptr && value->kind != kind)
            return file.path + " has a value of the wrong kind for " + join(path, ".") + " (line " +
                   std::to_string(value->line) + ")";
    }
    return "";
}

/// The files whose section of the plugin counts: all, or the last one that has one.
std::vector<const ConfigFile*> counting(const ContainerdVersion& containerd,
                                        const ContainerdConfig& config) {
    std::vector<const ConfigFile*> out;
    for (const auto& file : config.files) {
        if (containerd.importsReplaceSections() && hasCriSection(file)) out.clear();
        out.push_back(&file);
    }
    return out;
}

}  // namespace

Result<void> mergeFiles(const ContainerdVersion& containerd, ContainerdConfig& out) {
    std::string wrong = wrongVersion(containerd, out);
    for (const auto& file : out.files) noteDisabled(file, out);
    if (containerd.importsReplaceSections())
        mergeReplacing(out);
    else if (containerd.migratesOldPluginNames())
        mergeMigrated(containerd, out);
    else
        mergeTogether(out);
    for (const auto& file : counting(containerd, out))
        if (wrong.empty()) wrong = wrongKind(*file);
    if (wrong.empty()) return {};
    return Error("read containerd's configuration", out.path, wrong,
                 "mend the file: containerd, or its CRI, does not start with it");
}

std::string newRegistryPlugin(const ContainerdVersion& containerd) {
    return containerd.hasImagesPlugin() ? kImages : kCri;
}

const ConfigFile* ContainerdConfig::registryFile(const ContainerdVersion& containerd) const {
    const ConfigFile* chosen = nullptr;
    for (const auto& file : files) {
        const bool replaces = containerd.importsReplaceSections()
                                  ? hasCriSection(file)
                                  : hasMigratedRegistry(file, containerd);
        if (chosen == nullptr || replaces || file.path == configPathFile) chosen = &file;
    }
    return chosen;
}

}  // namespace nodemirror
