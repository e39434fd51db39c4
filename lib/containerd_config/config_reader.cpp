#include "containerd_config/config_reader.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "containerd_config/imports.hpp"
#include "toml/expressions.hpp"
#include "toml/read_go_v1.hpp"
#include "toml/read_v2.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>

namespace nodemirror {

namespace {

using toml_text::Value;

constexpr char kCri[] = "io.containerd.grpc.v1.cri";
constexpr char kImages[] = "io.containerd.cri.v1.images";
constexpr size_t kLargest = 512U << 10;  // of one file
constexpr size_t kMostFiles = 128;

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

/// The plugin under which a file of this version keeps the registry settings.
std::string pluginName(int fileVersion, const ContainerdVersion& containerd) {
    if (fileVersion >= 3 && containerd.hasImagesPlugin()) return kImages;
    // A file of version 1 names plugins by their short ids.
    return fileVersion < 2 ? "cri" : kCri;
}

/// The number behind a top-level `version`, which the value tree keeps only as a kind.
int versionOf(const std::string& text) {
    for (const auto& expression : toml_text::scanExpressions(text)) {
        if (expression.kind != toml_text::Expression::Kind::KeyValue) return 0;
        if (expression.key == std::vector<std::string>{"version"})
            return std::atoi(text.c_str() + expression.valueBegin);
    }
    return 0;
}

Result<ConfigFile> loadFile(const std::string& path, const ContainerdVersion& containerd) {
    ConfigFile file;
    file.path = path;
    auto text = readWholeFile(path, kLargest, Writers::Anyone, Unfinished::Refuse);
    if (!text) return text.error().during("read containerd's configuration", path);
    file.text = std::move(*text);
    auto read = toml_text::readTomlV2(file.text);
    // 1.x takes some texts that are no TOML 1.0; they can be read, though not edited.
    if (!read.valid && containerd.readsWithGoTomlV1())
        read = toml_text::readGoTomlV1(file.text, false);
    if (!read.valid)
        return Error("read containerd's configuration", path,
                     read.error.message + " (line " + std::to_string(read.error.line) + ")",
                     "mend the file: containerd does not start with it");
    file.root = std::move(read.root);
    file.version = versionOf(file.text);
    return file;
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

bool hasCriSection(const ConfigFile& file, const ContainerdVersion& containerd) {
    return at(file.root, {"plugins", pluginName(file.version, containerd)}) != nullptr;
}

/// A registry table under the old name in a file of version 3, which from 2.3 on takes the place of
/// the one under the new name, whichever file that is in.
bool hasMigratedRegistry(const ConfigFile& file, const ContainerdVersion& containerd) {
    return containerd.migratesOldPluginNames() && file.version == 3 &&
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

/// Merges one file's part into what those before it said.
void mergeFile(const ConfigFile& file, const ContainerdVersion& containerd, ContainerdConfig& out) {
    if (const Value* disabled = file.root.find("disabled_plugins");
        disabled != nullptr && !disabled->items.empty())
        for (const auto& item : disabled->items)  // the lists of all files add up
            if (item.string == "cri" || item.string == kCri || item.string == kImages)
                out.criDisabled = true;
    if (containerd.importsReplaceSections() && hasCriSection(file, containerd)) {
        forgetRegistry(out);
        out.sandboxImage.clear();
    }
    mergeSection(file, pluginName(file.version, containerd), out);
}

/// Migrates what files of version 3 have under the old name, over what was merged.
void mergeMigrated(const ContainerdVersion& containerd, ContainerdConfig& out) {
    if (!containerd.migratesOldPluginNames()) return;
    for (const auto& file : out.files)
        if (hasMigratedRegistry(file, containerd)) forgetRegistry(out);
    for (const auto& file : out.files)
        if (file.version == 3) mergeSection(file, kCri, out);
}

}  // namespace

std::vector<std::string> ConfigFile::registryTable(const ContainerdVersion& containerd) const {
    const bool old = hasMigratedRegistry(*this, containerd);
    return {"plugins", old ? kCri : pluginName(version, containerd), "registry"};
}

const ConfigFile* ContainerdConfig::registryFile(const ContainerdVersion& containerd) const {
    const ConfigFile* chosen = nullptr;
    for (const auto& file : files) {
        const bool replaces = containerd.importsReplaceSections()
                                  ? hasCriSection(file, containerd)
                                  : hasMigratedRegistry(file, containerd);
        if (chosen == nullptr || replaces || file.path == configPathFile) chosen = &file;
    }
    return chosen;
}

Result<ContainerdConfig> readContainerdConfig(const std::string& path,
                                              const ContainerdVersion& containerd) {
    ContainerdConfig out;
    out.path = path;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno != ENOENT) return Error::system("read containerd's configuration", path, errno);
        out.sandboxImage = containerd.defaultSandboxImage();
        return out;
    }
    out.exists = true;
    std::deque<std::string> pending{path};
    std::set<std::string> loaded;
    ImportSearch search(kMostFiles);
    while (!pending.empty()) {
        const std::string next = pending.front();
        pending.pop_front();
        if (!loaded.insert(next).second) continue;
        if (loaded.size() > kMostFiles)
            return Error("read containerd's configuration", path,
                         "it imports more than " + std::to_string(kMostFiles) + " files");
        auto file = loadFile(next, containerd);
        if (!file) return file.error();
        if (file->version == 0 && !out.files.empty()) file->version = out.files.front().version;
        auto imported = search.importsOf(*file, containerd);
        if (!imported) return imported.error();
        for (auto& import : *imported) pending.push_back(std::move(import));
        mergeFile(*file, containerd, out);
        out.files.push_back(std::move(*file));
    }
    mergeMigrated(containerd, out);
    if (out.sandboxImage.empty()) out.sandboxImage = containerd.defaultSandboxImage();
    return out;
}

}  // namespace nodemirror
