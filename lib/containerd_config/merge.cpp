#include "containerd_config/merge.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

using toml_text::Value;

constexpr char kCri[] = "io.containerd.grpc.v1.cri";
constexpr char kImages[] = "io.containerd.cri.v1.images";

const Value* at(const Value& root, const std::vector<std::string>& path) {
    const Value* node = &root;
    for (const auto& key : path) {
        if (!node->isTable()) return nullptr;
        node = node->find(key);
        if (node == nullptr) return nullptr;
    }
    return node;
}

std::string stringAt(const Value& root, const std::vector<std::string>& path) {
    const Value* value = at(root, path);
    return value != nullptr && value->kind == Value::Kind::String ? value->string : "";
}

/// The plugin under which a file of this version keeps the registry settings in 1.x. One of version
/// 1 names plugins by their short ids.
std::string pluginName(int fileVersion) { return fileVersion < 2 ? "cri" : kCri; }

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
        const Value* insecure = at(value, {"tls", "insecure_skip_verify"});
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
    return at(file.root, {"plugins", pluginName(file.version)}) != nullptr;
}

/// A registry table under the old name in a file of version 3, which from 2.3 on takes the place of
/// the one under the new name, whichever file that is in.
bool hasMigratedRegistry(const ConfigFile& file, const ContainerdVersion& containerd) {
    return containerd.migratesOldPluginNames() && file.declared == 3 &&
           at(file.root, {"plugins", kCri, "registry"}) != nullptr;
}

void forgetRegistry(ContainerdConfig& out) {
    out.configPath.clear();
    out.configPathFile.clear();
    out.mirrors.clear();
    out.hosts.clear();
    out.tlsHosts.clear();
    for (const char* legacy : {"mirrors", "configs", "auths"}) out.localPull.erase(legacy);
}

/// Merges one file's section of a plugin into what those before it said.
void mergeSection(const ConfigFile& file, const std::string& plugin, ContainerdConfig& out) {
    const Value* section = at(file.root, {"plugins", plugin});
    if (section == nullptr) return;
    const std::string sandbox = plugin == kImages ? stringAt(*section, {"pinned_images", "sandbox"})
                                                  : stringAt(*section, {"sandbox_image"});
    if (!sandbox.empty()) out.sandboxImage = sandbox;
    readLocalPull(*section, plugin != kImages, out.localPull);
    const Value* registry = at(*section, {"registry"});
    if (registry == nullptr || !registry->isTable()) return;
    const std::string configPath = stringAt(*registry, {"config_path"});
    if (!configPath.empty()) {
        out.configPath = configPath;
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

/// 1.x: a file's section takes the place of those before it.
void mergeReplacing(ContainerdConfig& out) {
    for (auto& file : out.files) {
        file.registryPlugin = pluginName(file.version);
        if (hasCriSection(file)) {
            forgetRegistry(out);
            out.sandboxImage.clear();
        }
        mergeSection(file, file.registryPlugin, out);
    }
}

bool hasRegistry(const ConfigFile& file, const std::string& plugin) {
    return at(file.root, {"plugins", plugin, "registry"}) != nullptr;
}

/// What CRI was called before 2.0. A file of version 1, or of none, may have the short name, which
/// is spelt out when it is loaded (v1Migrate).
std::vector<std::string> oldNames(const ConfigFile& file) {
    return file.declared < 2 ? std::vector<std::string>{"cri", kCri}
                             : std::vector<std::string>{kCri};
}

/// The old name under which a file has a registry table, or would have one.
std::string oldName(const ConfigFile& file) {
    return file.declared < 2 && !hasRegistry(file, kCri) ? "cri" : kCri;
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
    int version = 3;
    for (const auto& file : out.files)
        if (file.declared >= 2) version = file.declared;
    for (const auto& file : out.files) mergeSection(file, kImages, out);
    const bool takenOver = version < 3;
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

}  // namespace

void mergeFiles(const ContainerdVersion& containerd, ContainerdConfig& out) {
    for (const auto& file : out.files) noteDisabled(file, out);
    if (containerd.importsReplaceSections())
        mergeReplacing(out);
    else if (containerd.migratesOldPluginNames())
        mergeMigrated(containerd, out);
    else
        mergeTogether(out);
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
