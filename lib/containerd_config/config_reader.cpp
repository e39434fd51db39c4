#include "containerd_config/config_reader.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
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
    file.version = file.declared = versionOf(file.text);
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
        out.files.push_back(std::move(*file));
    }
    mergeFiles(containerd, out);
    if (out.sandboxImage.empty()) out.sandboxImage = containerd.defaultSandboxImage();
    return out;
}

}  // namespace nodemirror
