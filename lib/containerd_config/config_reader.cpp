#include "containerd_config/config_reader.hpp"

#include "base/digest.hpp"
#include "base/read_file.hpp"
#include "containerd_config/imports.hpp"
#include "containerd_config/merge.hpp"
#include "toml/expressions.hpp"
#include "toml/read_go_v1.hpp"
#include "toml/read_v2.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <set>

namespace nodemirror {

namespace {

using toml_text::Value;

constexpr size_t kLargest = 512U << 10;  // of one file
constexpr size_t kMostFiles = 128;
/// Of all together, in bytes: what they say takes a hundred times as much memory.
constexpr size_t kLargestTogether = 1U << 20;

/// The value tree of go-toml 1.x keeps of a number only that it is one.
int64_t versionOf(const ConfigFile& file, const Value& version) {
    if (version.integer != 0) return version.integer;
    for (const auto& expression : toml_text::scanExpressions(file.text))
        if (expression.key == std::vector<std::string>{"version"})
            return std::atoi(file.text.c_str() + expression.valueBegin);
    return 0;
}

bool isListOfStrings(const Value& value) {
    return value.kind == Value::Kind::Array &&
           std::all_of(value.items.begin(), value.items.end(),
                       [](const Value& item) { return item.kind == Value::Kind::String; });
}

Error refused(const std::string& path, const std::string& why) {
    return {"read containerd's configuration", path, why,
            "mend the file: containerd does not start with it"};
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
        return refused(path,
                       read.error.message + " (line " + std::to_string(read.error.line) + ")");
    file.root = std::move(read.root);
    const Value* version = file.root.find("version");
    const Value* imported = file.root.find("imports");
    const bool wrongVersion = version != nullptr && version->kind != Value::Kind::Number;
    if (wrongVersion || (imported != nullptr && !isListOfStrings(*imported)))
        return refused(
            path, wrongVersion ? "its version is no number" : "its imports are no list of strings");
    if (version != nullptr) file.declared = versionOf(file, *version);
    return file;
}

}  // namespace

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
    size_t left = kLargestTogether;
    while (!pending.empty()) {
        const std::string next = pending.front();
        pending.pop_front();
        if (!loaded.insert(next).second) continue;
        if (loaded.size() > kMostFiles)
            return Error("read containerd's configuration", path,
                         "it imports more than " + std::to_string(kMostFiles) + " files");
        auto file = loadFile(next, containerd);
        if (!file) return file.error();
        if (file->text.size() > left)
            return Error("read containerd's configuration", path,
                         "with what it imports it is larger than 1 MiB");
        left -= file->text.size();
        auto imported = search.importsOf(*file, containerd);
        if (!imported) return imported.error();
        for (auto& import : *imported) pending.push_back(std::move(import));
        out.files.push_back(std::move(*file));
    }
    if (const auto merged = mergeFiles(containerd, out); !merged) return merged.error();
    if (out.sandboxImage.empty()) out.sandboxImage = containerd.defaultSandboxImage();
    return out;
}

std::string ContainerdConfig::digest() const {
    std::string all;
    for (const auto& file : files) all += file.path + "\n" + file.text + "\n";
    return sha256Hex(all);
}

}  // namespace nodemirror
