#include "containerd_config/config_edit.hpp"

#include "base/text.hpp"
#include "toml/edit.hpp"

#include <set>

namespace nodemirror {

namespace {

using Path = std::vector<std::string>;

Result<std::string> withoutLegacy(const ConfigFile& file, const ContainerdConfig& config,
                                  const ContainerdVersion& containerd) {
    std::set<Path> legacy;
    const Path registry = file.registryTable();
    const auto below = [&](const Path& more) {
        Path out = registry;
        out.insert(out.end(), more.begin(), more.end());
        return out;
    };
    if (file.root.at(below({"mirrors"})) != nullptr) legacy.insert(below({"mirrors"}));
    if (!containerd.hasImagesPlugin())
        for (const auto& tls : config.tlsHosts)
            if (tls.file == file.path) legacy.insert(below({"configs", tls.host, "tls"}));
    if (legacy.empty()) return file.text;
    return toml_text::removePaths(file.text, legacy);
}

ConfigFileEdit newConfigFile(const ContainerdConfig& config, const ContainerdVersion& containerd,
                             const std::string& certsDir) {
    ConfigFile file;
    file.registryPlugin = newRegistryPlugin(containerd);
    ConfigFileEdit edit;
    edit.path = config.path;
    edit.existed = false;
    edit.after = "# Written by nodemirrord: containerd had no configuration file.\nversion = " +
                 std::to_string(containerd.newConfigVersion()) + "\n\n[" +
                 toml_text::dottedKey(file.registryTable()) +
                 "]\n  config_path = " + quotedScalar(certsDir) + "\n";
    return edit;
}

}  // namespace

Result<std::vector<ConfigFileEdit>> editConfigPath(const ContainerdConfig& config,
                                                   const ContainerdVersion& containerd,
                                                   const std::string& certsDir) {
    std::vector<ConfigFileEdit> edits;
    if (!config.exists) {
        edits.push_back(newConfigFile(config, containerd, certsDir));
        return edits;
    }
    const ConfigFile* target = config.registryFile(containerd);
    for (const auto& file : config.files) {
        auto text = withoutLegacy(file, config, containerd);
        if (!text)
            return Error(text.error().context(), text.error().object() + " of " + file.path,
                         text.error().reason(), text.error().remedy());
        if (&file == target && config.configPath != certsDir) {
            text = toml_text::setString(*text, file.registryTable(), "config_path", certsDir);
            if (!text)
                return Error(text.error().context(), text.error().object() + " of " + file.path,
                             text.error().reason(), text.error().remedy());
        }
        if (*text == file.text) continue;
        ConfigFileEdit edit;
        edit.path = file.path;
        edit.before = file.text;
        edit.after = std::move(*text);
        edits.push_back(std::move(edit));
    }
    return edits;
}

}  // namespace nodemirror
