#include "containerd_config/config_reader.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "toml/expressions.hpp"
#include "toml/read_go_v1.hpp"
#include "toml/read_v2.hpp"

#include <glob.h>
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
constexpr size_t kLargest = 16U << 20;

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

std::string directoryOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

std::vector<std::string> globbed(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> out;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    return out;
}

std::vector<std::string> imports(const ConfigFile& file, const ContainerdVersion& containerd) {
    std::vector<std::string> out;
    const Value* list = file.root.find("imports");
    if (list == nullptr || list->kind != Value::Kind::Array) return out;
    for (const auto& item : list->items) {
        std::string path = item.string;
        const bool isGlob = path.find('*') != std::string::npos;
        const bool relative = path.empty() || path.front() != '/';
        if (relative && isGlob && containerd.looksForGlobsInRoot())
            path = "/" + path;
        else if (relative)
            path = directoryOf(file.path) + "/" + path;
        if (isGlob)
            for (auto& match : globbed(path)) out.push_back(std::move(match));
        else
            out.push_back(std::move(path));
    }
    return out;
}

Result<ConfigFile> loadFile(const std::string& path, const ContainerdVersion& containerd) {
    ConfigFile file;
    file.path = path;
    auto text = readWholeFile(path, kLargest);
    if (!text) return Error("read containerd's configuration", path, text.error().reason());
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

bool hasCriSection(const ConfigFile& file, const ContainerdVersion& containerd) {
    return at(file.root, {"plugins", pluginName(file.version, containerd)}) != nullptr;
}

/// Merges one file's part into what those before it said.
void mergeFile(const ConfigFile& file, const ContainerdVersion& containerd, ContainerdConfig& out) {
    if (const Value* disabled = file.root.find("disabled_plugins");
        disabled != nullptr && !disabled->items.empty())
        for (const auto& item : disabled->items)  // the lists of all files add up
            if (item.string == "cri" || item.string == kCri || item.string == kImages)
                out.criDisabled = true;
    const std::string plugin = pluginName(file.version, containerd);
    if (!hasCriSection(file, containerd)) return;
    if (containerd.importsReplaceSections()) {
        out.configPath.clear();
        out.configPathFile.clear();
        out.mirrors.clear();
        out.hosts.clear();
        out.tlsHosts.clear();
        out.sandboxImage.clear();
    }
    const std::string sandbox =
        plugin == kImages ? stringAt(file.root, {"plugins", kImages, "pinned_images", "sandbox"})
                          : stringAt(file.root, {"plugins", plugin, "sandbox_image"});
    if (!sandbox.empty()) out.sandboxImage = sandbox;
    const Value* registry = at(file.root, file.registryTable(containerd));
    if (registry == nullptr || !registry->isTable()) return;
    const std::string configPath = stringAt(*registry, {"config_path"});
    if (!configPath.empty()) {
        out.configPath = configPath;
        out.configPathFile = file.path;
    }
    readMirrors(file, *registry, out);
    readTls(file, *registry, out);
}

}  // namespace

std::vector<std::string> ConfigFile::registryTable(const ContainerdVersion& containerd) const {
    return {"plugins", pluginName(version, containerd), "registry"};
}

const ConfigFile* ContainerdConfig::registryFile(const ContainerdVersion& containerd) const {
    const ConfigFile* chosen = nullptr;
    for (const auto& file : files) {
        const bool replaces =
            containerd.importsReplaceSections() && hasCriSection(file, containerd);
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
    while (!pending.empty()) {
        const std::string next = pending.front();
        pending.pop_front();
        if (!loaded.insert(next).second) continue;
        auto file = loadFile(next, containerd);
        if (!file) return file.error();
        if (file->version == 0 && !out.files.empty()) file->version = out.files.front().version;
        for (auto& import : imports(*file, containerd)) pending.push_back(std::move(import));
        mergeFile(*file, containerd, out);
        out.files.push_back(std::move(*file));
    }
    if (out.sandboxImage.empty()) out.sandboxImage = containerd.defaultSandboxImage();
    return out;
}

}  // namespace nodemirror
