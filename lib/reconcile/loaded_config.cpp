#include "reconcile/loaded_config.hpp"

#include "base/text.hpp"
#include "files/file_age.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace nodemirror {

std::string LoadedConfig::identity(int process) const {
    struct stat status {};
    if (process <= 1 || ::stat(socket_.c_str(), &status) != 0) return "";
    return std::to_string(process) + " " + std::to_string(status.st_ino) + " " +
           std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec) +
           " " + certsDir_;
}

void LoadedConfig::start() {
    auto reader = state_.loadCertsReader();
    if (reader)
        savedReader_ = std::move(*reader);
    else
        spdlog::warn("msg={}", inQuotes(reader.error().text()));
}

Seen<bool> LoadedConfig::startedAfter(const Process& process, const ContainerdConfig& config) {
    const std::string digest = config.digest();
    // Started for this very text: no clock is asked, and what it does not do is not for its age.
    if (startedFor_.is(process.id, digest)) return Seen<bool>::known(true);
    if (process.id > 0 && process.id != firstSeen_.process) firstSeen_ = {process.id, digest};
    // Seen to change: a file that is removed, or exchanged for an old one, has no new time.
    if (process.id > 0 && digest != firstSeen_.what) return Seen<bool>::known(false);
    std::vector<std::string> paths;
    for (const auto& file : config.files) paths.push_back(file.path);
    return files::startedAfter(process.started, socket_, paths);
}

Seen<bool> LoadedConfig::hasReadEdit(const Process& process, const ConfigEditRecord& edit) const {
    if (startedEdited_.is(process.id, edit.fingerprint)) return Seen<bool>::known(true);
    // No clock that is set makes it another one.
    if (!edit.unreadBy.empty() && edit.unreadBy == identity(process.id))
        return Seen<bool>::known(false);
    std::vector<std::string> paths;
    for (const auto& file : edit.files) paths.push_back(file.path);
    return files::startedAfter(process.started, socket_, paths);
}

Seen<bool> LoadedConfig::readsCertsDir(const Process& process, const ContainerdConfig& config,
                                       const ConfigEditRecord& edit) {
    const bool seen = process.id > 0 && process.id == reader_;
    if (seen || (!savedReader_.empty() && savedReader_ == identity(process.id)))
        return Seen<bool>::known(true);
    if (edit.stage == ConfigEditRecord::Stage::Applying)
        if (auto read = hasReadEdit(process, edit); read.isKnown() && !read.value()) return read;
    return startedAfter(process, config);
}

void LoadedConfig::noteStarted(int process, const ContainerdConfig& config) {
    startedFor_ = {process, config.digest()};
}

void LoadedConfig::noteStarted(int process, const ConfigEditRecord& edit) {
    startedEdited_ = {process, edit.fingerprint};
}

void LoadedConfig::remember() {
    const std::string reader = identity(reader_);
    if (reader.empty() || reader == savedReader_) return;
    savedReader_ = reader;
    if (const auto saved = state_.saveCertsReader(reader); !saved)
        spdlog::error("msg={}", inQuotes(saved.error().text()));
}

}  // namespace nodemirror
