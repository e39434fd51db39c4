/// Claims: what is there is kept, and the manifest says so, before anything is changed.
#include "reconcile/registry_claims.hpp"

#include "base/text.hpp"
#include "files/directory_swap.hpp"
#include "files/entries.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace nodemirror {

namespace {

constexpr size_t kDigestsKept = 4;

BackedUpEntry backupOf(const std::string& path, const ObservedEntry& entry) {
    BackedUpEntry out;
    out.path = path;
    out.mode = entry.mode;
    out.uid = entry.uid;
    out.gid = entry.gid;
    if (entry.type == ObservedEntry::Type::Symlink) {
        out.type = BackedUpEntry::Type::Symlink;
        out.stored = entry.target;
    } else {
        out.type = BackedUpEntry::Type::File;
        out.stored = StateDir::backupName(path);
    }
    return out;
}

/// What is kept as it is, beside the new one: a copy could not be given back to another user.
BackedUpEntry asideOf(const std::string& path, const ObservedEntry& entry,
                      const std::string& name) {
    BackedUpEntry out;
    out.path = path;
    out.type = BackedUpEntry::Type::Aside;
    out.mode = entry.mode;
    out.uid = entry.uid;
    out.gid = entry.gid;
    out.stored = name;
    return out;
}

bool isForeignDirectory(const ObservedEntry& entry) {
    return entry.type == ObservedEntry::Type::Directory && entry.uid != ::geteuid();
}

bool holdsNothing(const ObservedRegistry& observed) {
    using Type = ObservedEntry::Type;
    return observed.hosts.type == Type::Absent &&
           (observed.directory.type == Type::Absent || observed.directory.type == Type::Directory);
}

void putFirst(std::vector<std::string>& digests, const std::string& digest) {
    digests.erase(std::remove(digests.begin(), digests.end(), digest), digests.end());
    digests.insert(digests.begin(), digest);
}

}  // namespace

RegistryClaims::RegistryClaims(files::CertsTree tree, StateDir state)
    : tree_(std::move(tree)), state_(std::move(state)) {}

Result<void> RegistryClaims::load() {
    auto manifest = state_.loadManifest();
    if (!manifest) return manifest.error();
    manifest_ = std::move(*manifest);
    return {};
}

const Ownership* RegistryClaims::find(const std::string& directory) const {
    const auto owned = manifest_.find(directory);
    return owned == manifest_.end() ? nullptr : &owned->second;
}

/// Notes what stands at a path so that it can be put back: a copy of it, or the name that it is
/// kept under once the new one is in place.
Result<void> RegistryClaims::keepEntry(const std::string& path, const ObservedEntry& entry,
                                       bool asItIs, Ownership& ownership) {
    using Type = ObservedEntry::Type;
    const Error tooLarge("keep a copy of", path, "it is larger than 4 MiB", "move it away");
    if (entry.tooLarge) return tooLarge;
    if (asItIs) {
        const auto name = tree_.nameToKeep(path);
        if (!name) return name.error();
        ownership.backups.push_back(asideOf(path, entry, *name));
        return {};
    }
    if (entry.type != Type::File && entry.type != Type::Symlink) return {};
    if (entry.unreadable)
        return Error("keep a copy of", path,
                     "it is uid " + std::to_string(entry.uid) + "'s, who lets nobody read it",
                     "chown root:root " + tree_.root() + "/" + path);
    if (entry.type == Type::Symlink) {
        ownership.backups.push_back(backupOf(path, entry));
        return {};
    }
    // The whole of it, and not the half that somebody has written so far; with the mode of what is
    // kept, which may be another file by now.
    const auto file = tree_.finishedFile(path);
    if (!file) return file.error();
    if (file->tooLarge) return tooLarge;
    BackedUpEntry backup = backupOf(path, *file);
    backup.sha256 = file->sha256;
    if (const auto stored = state_.storeBackup(backup.stored, file->content); !stored)
        return stored;
    ownership.backups.push_back(std::move(backup));
    return {};
}

Result<void> RegistryClaims::keepEarlier(const std::string& directory, bool writes,
                                         const ObservedRegistry& observed, Ownership& ownership) {
    using Type = ObservedEntry::Type;
    // Another user's directory is set aside whole when a new one takes its place, or nothing does.
    const bool whole = isForeignDirectory(observed.directory);
    if (const auto kept = keepEntry(directory, observed.directory, whole, ownership);
        whole || !kept)
        return kept;
    const bool asItIs =
        writes && (files::isForeign(observed.hosts) || observed.hosts.type == Type::Directory);
    return keepEntry(directory + "/hosts.toml", observed.hosts, asItIs, ownership);
}

/// What was kept is no longer to come back: what is kept aside is told, for it stays there.
void RegistryClaims::dropBackups(const std::string& directory, Ownership& ownership) const {
    for (const auto& entry : ownership.backups) {
        if (entry.type != BackedUpEntry::Type::Aside) continue;
        const auto there = tree_.isThere(entry);
        if (there && *there)
            spdlog::warn("directory={} msg=\"something newer was put there since\" aside={}",
                         inQuotes(directory), inQuotes(entry.stored));
    }
    ownership.backups.clear();
}

/// A heal that a crash cut short left what is ours, a directory or its hosts.toml, under a name
/// that no claim has.
Result<void> RegistryClaims::discardUnclaimed(const std::string& path, const Ownership& ownership) {
    for (int number = 1; number <= files::kMostAside; ++number) {
        BackedUpEntry entry;
        entry.path = path;
        entry.type = BackedUpEntry::Type::Aside;
        entry.stored = files::asideNumber(path, number);
        if (const auto gone = tree_.discardUnused(entry, ownership); !gone) return gone.error();
    }
    return {};
}

/// A claim of before is as good as what came of it: while nothing did, what stands there by now is
/// a person's newer word. True where something else is kept now than the manifest on disk says.
Result<bool> RegistryClaims::claimAgain(const std::string& directory, bool writes,
                                        const ObservedRegistry& observed, Ownership& ownership) {
    // Where not even the directory is there, what is kept beside it may be out of sight as well.
    const bool inSight = observed.directory.type != ObservedEntry::Type::Absent;
    const auto settled = inSight ? settleAsides(directory, ownership) : Result<bool>(false);
    if (!settled) return settled.error();
    if (isForeignDirectory(observed.directory))
        if (const auto gone = discardUnclaimed(directory, ownership); !gone) return gone.error();
    if (observed.hosts.type == ObservedEntry::Type::Directory)
        if (const auto gone = discardUnclaimed(directory + "/hosts.toml", ownership); !gone)
            return gone.error();
    const bool ours = observed.hosts.type == ObservedEntry::Type::File &&
                      ownership.wrote(observed.hosts.sha256) && !files::isForeign(observed.hosts) &&
                      !isForeignDirectory(observed.directory);
    dirty_ = dirty_ || (ours && !ownership.placed);
    ownership.placed = ownership.placed || ours;
    const bool newer = !ownership.placed && !holdsNothing(observed);
    if (!*settled && !newer) return false;
    if (newer) dropBackups(directory, ownership);
    if (ours) return true;
    if (const auto kept = keepEarlier(directory, writes, observed, ownership); !kept)
        return kept.error();
    return true;
}

Result<RegistryClaims::Claim> RegistryClaims::claim(const std::string& directory,
                                                    const RegistryAction& action,
                                                    const ObservedRegistry& observed) {
    Claim claim;
    claim.directory = directory;
    const auto known = manifest_.find(directory);
    Ownership ownership;
    if (known != manifest_.end()) {
        ownership = known->second;
        claim.before = known->second;
    }
    if (std::holds_alternative<ReleaseHosts>(action)) return claim;
    const auto* write = std::get_if<WriteHosts>(&action);
    // What comes back after it was pruned is somebody's newest word: it is kept instead.
    const bool prunedAgain = ownership.pruned && (write == nullptr || !holdsNothing(observed));
    if (prunedAgain) dropBackups(directory, ownership);
    if (!claim.before || prunedAgain) {
        if (const auto kept = keepEarlier(directory, write != nullptr, observed, ownership); !kept)
            return kept.error();
        claim.unsaved = true;
    } else {
        const auto again = claimAgain(directory, write != nullptr, observed, ownership);
        if (!again) return again.error();
        claim.unsaved = *again;
    }
    ownership.directory = directory;
    if (write != nullptr && (!claim.before || ownership.pruned)) ownership.placed = false;
    ownership.pruned = std::holds_alternative<PruneHosts>(action);
    if (write != nullptr) {
        // The order alone is not worth a write, which a full disk would not take.
        claim.unsaved = claim.unsaved || !ownership.wrote(write->sha256);
        // What is in place is the last to be forgotten: until it is replaced it is still ours.
        if (ownership.wrote(observed.hosts.sha256))
            putFirst(ownership.digests, observed.hosts.sha256);
        putFirst(ownership.digests, write->sha256);
        if (ownership.digests.size() > kDigestsKept) ownership.digests.resize(kDigestsKept);
    }
    claim.unsaved = claim.unsaved || !claim.before || claim.before->pruned != ownership.pruned;
    manifest_[directory] = std::move(ownership);
    return claim;
}

Result<void> RegistryClaims::save(const std::vector<const Claim*>& claims) {
    // A backup that is claimed again is no longer obsolete.
    if (!obsolete_.empty())
        for (const Claim* claim : claims)
            for (const auto& entry : manifest_[claim->directory].backups)
                std::erase(obsolete_, entry.stored);
    const auto isUnsaved = [](const Claim* claim) { return claim->unsaved; };
    if (std::none_of(claims.begin(), claims.end(), isUnsaved)) return {};
    const auto saved = state_.saveManifest(manifest_);
    if (saved) {
        dirty_ = false;
        return {};
    }
    // Nothing was claimed: the next try is the first one again.
    for (const Claim* claim : claims)
        if (claim->unsaved && claim->before)
            manifest_[claim->directory] = *claim->before;
        else if (claim->unsaved)
            manifest_.erase(claim->directory);
    return saved;
}

void RegistryClaims::notePlaced(const std::string& directory) {
    const auto owned = manifest_.find(directory);
    if (owned == manifest_.end() || owned->second.placed) return;
    owned->second.placed = true;
    dirty_ = true;
}

void RegistryClaims::flush() {
    if (dirty_) {
        if (const auto saved = state_.saveManifest(manifest_); !saved) {
            spdlog::error("msg={}", inQuotes(saved.error().text()));
            return;
        }
        dirty_ = false;
    }
    for (const auto& name : obsolete_) state_.dropBackup(name);
    obsolete_.clear();
}

}  // namespace nodemirror
