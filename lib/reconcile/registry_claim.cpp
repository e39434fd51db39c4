/// Claims a registry before it is written: what was there before is kept, and the manifest says so.
#include "base/digest.hpp"
#include "base/text.hpp"
#include "files/directory_swap.hpp"
#include "files/entries.hpp"
#include "hosts_toml/directories.hpp"
#include "hosts_toml/render.hpp"
#include "reconcile/registry_keeper.hpp"

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

bool isForeignFile(const ObservedEntry& entry) {
    return entry.type == ObservedEntry::Type::File && files::isForeign(entry.uid, entry.gid);
}

bool isForeignDirectory(const ObservedEntry& entry) {
    return entry.type == ObservedEntry::Type::Directory && entry.uid != ::geteuid();
}

bool holdsNothing(const ObservedRegistry& observed) {
    using Type = ObservedEntry::Type;
    return observed.hosts.type == Type::Absent &&
           (observed.directory.type == Type::Absent || observed.directory.type == Type::Directory);
}

/// Without the words of its renderer, who keeps it no longer when it is in place.
std::string ofLegacyTables(std::string text) {
    while (text.substr(0, 1) == "#") text.erase(0, text.find('\n') + 1);
    return "# What the mirrors in containerd's config.toml led to, before nodemirrord.\n" + text;
}

void putFirst(std::vector<std::string>& digests, const std::string& digest) {
    digests.erase(std::remove(digests.begin(), digests.end(), digest), digests.end());
    digests.insert(digests.begin(), digest);
}

}  // namespace

/// Notes what stands at a path so that it can be put back: a copy of it, or the name that it is
/// kept under once the new one is in place.
Result<void> RegistryKeeper::keepEntry(const std::string& path, const ObservedEntry& entry,
                                       bool asItIs, Ownership& ownership) {
    using Type = ObservedEntry::Type;
    if (entry.tooLarge)
        return Error("keep a copy of", path, "it is larger than 4 MiB", "move it away");
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
    BackedUpEntry backup = backupOf(path, entry);
    if (backup.type == BackedUpEntry::Type::File) {
        // The whole of it, and not the half that somebody has written so far.
        const auto text = tree_.finishedText(path);
        if (!text) return text.error();
        backup.sha256 = sha256Hex(*text);
        if (const auto stored = state_.storeBackup(backup.stored, *text); !stored) return stored;
    }
    ownership.backups.push_back(std::move(backup));
    return {};
}

Result<void> RegistryKeeper::keepEarlier(const Step& step, Ownership& ownership) {
    using Type = ObservedEntry::Type;
    const ObservedRegistry& observed = step.observed.value();
    const bool writes = std::holds_alternative<WriteHosts>(step.action);
    // Another user's directory is set aside whole when the new one takes its place.
    const bool whole = writes && isForeignDirectory(observed.directory);
    if (const auto kept = keepEntry(step.directory, observed.directory, whole, ownership);
        whole || !kept)
        return kept;
    const bool asItIs =
        writes && (isForeignFile(observed.hosts) || observed.hosts.type == Type::Directory);
    return keepEntry(step.directory + "/hosts.toml", observed.hosts, asItIs, ownership);
}

/// What a claim says is kept aside may never have been: a crash, or a failure, came before. Takes
/// away what that left of ours, and strikes out what is not there. True where there was any.
Result<bool> RegistryKeeper::settleAsides(const std::string& directory, Ownership& ownership) {
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

/// A heal that a crash cut short left what is ours, a directory or its hosts.toml, under a name
/// that no claim has.
Result<void> RegistryKeeper::discardUnclaimed(const std::string& path, const Ownership& ownership) {
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
/// a person's newer word.
Result<void> RegistryKeeper::claimAgain(Step& step, Ownership& ownership) {
    const ObservedRegistry& observed = step.observed.value();
    // Where not even the directory is there, what is kept beside it may be out of sight as well.
    const bool inSight = observed.directory.type != ObservedEntry::Type::Absent;
    const auto settled = inSight ? settleAsides(step.directory, ownership) : Result<bool>(false);
    if (!settled) return settled.error();
    if (isForeignDirectory(observed.directory))
        if (const auto gone = discardUnclaimed(step.directory, ownership); !gone) return gone;
    if (observed.hosts.type == ObservedEntry::Type::Directory)
        if (const auto gone = discardUnclaimed(step.directory + "/hosts.toml", ownership); !gone)
            return gone;
    const bool ours = observed.hosts.type == ObservedEntry::Type::File &&
                      ownership.wrote(observed.hosts.sha256) && !isForeignFile(observed.hosts) &&
                      !isForeignDirectory(observed.directory);
    manifestDirty_ = manifestDirty_ || (ours && !ownership.placed);
    ownership.placed = ownership.placed || ours;
    const bool newer = !ownership.placed && !holdsNothing(observed);
    if (!*settled && !newer) return {};
    step.claims = true;
    if (newer) {
        for (const auto& entry : ownership.backups)
            if (entry.type == BackedUpEntry::Type::Aside)
                spdlog::warn("directory={} msg=\"something newer was put there since\" aside={}",
                             inQuotes(step.directory), inQuotes(entry.stored));
        ownership.backups.clear();
    }
    return ours ? Result<void>() : keepEarlier(step, ownership);
}

/// Records in the manifest, before anything is changed, what is about to be owned.
Result<void> RegistryKeeper::claim(Step& step) {
    const auto known = manifest_.find(step.directory);
    Ownership ownership;
    if (known != manifest_.end()) {
        ownership = known->second;
        step.ownedBefore = known->second;
    }
    if (std::holds_alternative<ReleaseHosts>(step.action)) return {};
    // What comes back after it was pruned is somebody's newest word: it is kept instead.
    const ObservedRegistry& there = step.observed.value();
    const bool prunedAgain = ownership.pruned && (std::holds_alternative<PruneHosts>(step.action) ||
                                                  !holdsNothing(there));
    if (prunedAgain) ownership.backups.clear();
    if (known == manifest_.end() || prunedAgain) {
        if (const auto kept = keepEarlier(step, ownership); !kept) return kept;
        step.claims = true;
    } else if (const auto again = claimAgain(step, ownership); !again) {
        return again;
    }
    ownership.directory = step.directory;
    const auto* write = std::get_if<WriteHosts>(&step.action);
    if (write != nullptr && (known == manifest_.end() || ownership.pruned))
        ownership.placed = false;
    ownership.pruned = write == nullptr;
    if (write != nullptr) {
        // The order alone is not worth a write, which a full disk would not take.
        step.claims = step.claims || !ownership.wrote(write->sha256);
        // What is in place is the last to be forgotten: until it is replaced it is still ours.
        if (ownership.wrote(there.hosts.sha256)) putFirst(ownership.digests, there.hosts.sha256);
        putFirst(ownership.digests, write->sha256);
        if (ownership.digests.size() > kDigestsKept) ownership.digests.resize(kDigestsKept);
    }
    step.claims =
        step.claims || known == manifest_.end() || known->second.pruned != ownership.pruned;
    manifest_[step.directory] = std::move(ownership);
    return {};
}

/// The manifest with what is about to be owned, on disk before the first file is touched. Where it
/// cannot be saved those that need it are taken out; what was owned before is healed all the same.
void RegistryKeeper::saveClaims(std::vector<std::pair<const Step*, bool>>& claimed,
                                const Now& now) {
    // A backup that is claimed again is no longer obsolete.
    if (!obsolete_.empty())
        for (const auto& [step, repeated] : claimed)
            for (const auto& entry : manifest_[step->directory].backups)
                obsolete_.erase(std::remove(obsolete_.begin(), obsolete_.end(), entry.stored),
                                obsolete_.end());
    const auto claims = [](const auto& entry) { return entry.first->claims; };
    if (std::none_of(claimed.begin(), claimed.end(), claims)) return;
    const auto saved = state_.saveManifest(manifest_);
    if (saved) {
        manifestDirty_ = false;
        return;
    }
    for (const auto& [step, repeated] : claimed) {
        if (!step->claims) continue;
        failed(step->directory, saved.error(), now);
        // Nothing was claimed: the next try is the first one again.
        if (step->ownedBefore)
            manifest_[step->directory] = *step->ownedBefore;
        else
            manifest_.erase(step->directory);
    }
    std::erase_if(claimed, claims);
}

void RegistryKeeper::saveReleases() {
    if (manifestDirty_) {
        if (const auto saved = state_.saveManifest(manifest_); !saved) {
            spdlog::error("msg={}", inQuotes(saved.error().text()));
            return;
        }
        manifestDirty_ = false;
    }
    for (const auto& name : obsolete_) state_.dropBackup(name);
    obsolete_.clear();
}

void RegistryKeeper::keepReplaced(const std::vector<Registry>& replaced) {
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
        manifestDirty_ = true;
    }
    saveReleases();
}

}  // namespace nodemirror
