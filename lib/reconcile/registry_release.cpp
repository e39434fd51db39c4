/// What was there before the daemon: under which names it is kept, and how it is given back.
#include "base/digest.hpp"
#include "base/text.hpp"
#include "files/entries.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/render.hpp"
#include "reconcile/registry_claims.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace nodemirror {

namespace {

/// Without the words of its renderer, who keeps it no longer when it is in place.
std::string ofLegacyTables(std::string text) {
    while (text.substr(0, 1) == "#") text.erase(0, text.find('\n') + 1);
    return "# What the mirrors in containerd's config.toml led to, before nodemirrord.\n" + text;
}

}  // namespace

/// Under which name what was in the place of a path is kept; empty where it is not.
std::string RegistryClaims::keptName(const std::string& path) const {
    const auto owned = manifest_.find(path.substr(0, path.find('/')));
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups)
        if (entry.type == BackedUpEntry::Type::Aside && entry.path == path) return entry.stored;
    return "";
}

std::string RegistryClaims::keptDigest(const std::string& directory) const {
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups)
        if (entry.type == BackedUpEntry::Type::File && !entry.legacy &&
            entry.path == directory + "/hosts.toml")
            return entry.sha256;
    return "";
}

files::CertsTree::Kept RegistryClaims::toKeep(const std::string& directory) const {
    files::CertsTree::Kept kept{keptName(directory), keptName(directory + "/hosts.toml"), {}};
    const Ownership* owned = find(directory);
    if (owned != nullptr && !owned->placed) kept.first = keptDigest(directory);
    return kept;
}

std::string RegistryClaims::earlier(const std::string& directory) const {
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end()) return "";
    for (const auto& entry : owned->second.backups) {
        if (entry.type == BackedUpEntry::Type::Aside) return tree_.keptText(entry);
        if (entry.path != directory + "/hosts.toml") continue;
        if (entry.type != BackedUpEntry::Type::File) continue;
        if (auto stored = state_.loadBackup(entry.stored)) return std::move(*stored);
    }
    return "";
}

std::string RegistryClaims::earlierOfRoot(const std::string& directory) const {
    const Ownership* owned = find(directory);
    if (owned == nullptr) return "";
    const auto isOfOthers = [](const auto& entry) {
        return entry.type == BackedUpEntry::Type::Aside || entry.uid != ::geteuid();
    };
    const auto& backups = owned->backups;
    return std::any_of(backups.begin(), backups.end(), isOfOthers) ? "" : earlier(directory);
}

void RegistryClaims::keepReplaced(const std::vector<Registry>& replaced) {
    for (const auto& registry : replaced) {
        const std::string directory = ownDirectoryName(registry.name);
        const auto owned = manifest_.find(directory);
        if (owned == manifest_.end() || owned->second.pruned) continue;
        auto& backups = owned->second.backups;
        // Of several edits the last one counts.
        if (!backups.empty() && !backups.front().legacy) continue;
        const auto rendered = renderHosts(registry);
        if (!rendered) {
            spdlog::warn("registry={} msg={}", registry.name, inQuotes(rendered.error().text()));
            continue;
        }
        BackedUpEntry entry;
        entry.path = directory + "/hosts.toml";
        entry.mode = rendered->secret ? 0600 : 0644;
        entry.uid = ::geteuid();
        entry.gid = ::getegid();
        entry.stored = StateDir::backupName(entry.path);
        entry.legacy = true;
        const std::string text = ofLegacyTables(rendered->text);
        entry.sha256 = sha256Hex(text);
        if (const auto stored = state_.storeBackup(entry.stored, text); !stored) {
            spdlog::error("msg={}", inQuotes(stored.error().text()));
            continue;
        }
        backups = {std::move(entry)};
        dirty_ = true;
    }
    flush();
}

/// What a claim says is kept aside may never have been: a crash, or a failure, came before. Takes
/// away what that left of ours, and strikes out what is not there. True where there was any.
Result<bool> RegistryClaims::settleAsides(const std::string& directory, Ownership& ownership) {
    bool any = false;
    auto& backups = ownership.backups;
    for (auto entry = backups.begin(); entry != backups.end();) {
        if (entry->type != BackedUpEntry::Type::Aside) {
            ++entry;
            continue;
        }
        const auto discarded = tree_.discardUnused(*entry, ownership);
        if (!discarded) return discarded.error();
        const auto there = tree_.isThere(*entry);
        if (!there) return there.error();
        if (*there && !*discarded) {
            ++entry;
            continue;
        }
        if (!*discarded)
            spdlog::warn("directory={} msg=\"what was to be kept of it is not there\" aside={}",
                         inQuotes(directory), inQuotes(entry->stored));
        entry = backups.erase(entry);
        any = true;
    }
    return any;
}

Result<void> RegistryClaims::putBack(const BackedUpEntry& entry, const std::string& directory) {
    if (entry.type == BackedUpEntry::Type::Symlink && entry.uid != ::geteuid()) {
        // Made anew it would be root's word, and lead where its maker could not.
        spdlog::warn(
            "directory={} msg=\"a link of uid {} stood there and is not put back\" target={}",
            inQuotes(directory), entry.uid, inQuotes(entry.stored));
        return tree_.remove(directory);
    }
    std::string content;
    if (entry.type == BackedUpEntry::Type::File) {
        auto stored = state_.loadBackup(entry.stored);
        if (!stored) return stored.error();
        content = std::move(*stored);
    }
    const auto back = tree_.restore(entry, content);
    const bool whole = entry.path == directory && entry.type != BackedUpEntry::Type::Aside;
    // Of overlayfs's lower layer no directory is exchanged, and elsewhere (NFS) nothing is.
    const int code = back ? 0 : back.error().code();
    if (!whole || (code != EXDEV && code != EINVAL)) return back;
    if (const auto removed = tree_.remove(directory); !removed) return removed;
    return tree_.restore(entry, content);
}

Result<void> RegistryClaims::release(const ReleaseHosts& action, const ObservedRegistry& observed) {
    // Thousands may have been given back since this was planned: a newer text is somebody's word.
    const auto now = tree_.observe(action.directory);
    const std::string path = action.directory + "/hosts.toml";
    if (!now.isKnown()) return Error("give back", path, now.why());
    const auto& hosts = now.value().hosts;
    if (hosts.type != observed.hosts.type || hosts.sha256 != observed.hosts.sha256 ||
        hosts.target != observed.hosts.target ||
        now.value().directory.type != observed.directory.type)
        return files::changedMeanwhile("give back", path);
    Ownership& ownership = manifest_[action.directory];
    const auto settled = settleAsides(action.directory, ownership);
    if (!settled) return settled.error();
    // What was not kept aside is in its place still, or again.
    const bool theirs = (observed.directory.type == ObservedEntry::Type::Directory &&
                         observed.directory.uid != ::geteuid()) ||
                        files::isForeign(observed.hosts);
    if (!action.leaveFile && !(*settled && theirs)) {
        if (ownership.backups.empty() && !ownership.pruned)
            if (const auto removed = tree_.remove(action.directory); !removed) return removed;
        for (const auto& entry : ownership.backups)
            if (const auto back = putBack(entry, action.directory); !back) return back;
        // Only once the manifest no longer names them: a crash in between must find them.
        for (const auto& entry : ownership.backups)
            if (entry.type == BackedUpEntry::Type::File) obsolete_.push_back(entry.stored);
    }
    manifest_.erase(action.directory);
    dirty_ = true;
    return {};
}

}  // namespace nodemirror
