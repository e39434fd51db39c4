#include "plan/registry_plan.hpp"

#include "base/text.hpp"

#include <cstdio>

namespace nodemirror {

namespace {

using Type = ObservedEntry::Type;

std::string octal(mode_t mode) {
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, "%04o", static_cast<unsigned>(mode));
    return buffer;
}

bool inPlace(const ObservedRegistry& observed, const IntendedHosts& intended, uid_t self) {
    return observed.directory.type == Type::Directory && observed.directory.uid == self &&
           closedToOthers(observed.directory.mode) && observed.hosts.type == Type::File &&
           observed.hosts.sha256 == intended.sha256 && observed.hosts.mode == intended.mode() &&
           observed.hosts.uid == self;
}

}  // namespace

std::string describeDrift(const ObservedRegistry& observed, const IntendedHosts& intended,
                          uid_t self) {
    switch (observed.directory.type) {
        case Type::Absent: return "the directory was deleted";
        case Type::Symlink:
            return "the directory was replaced by a symbolic link to " +
                   inQuotes(observed.directory.target);
        case Type::File:
        case Type::Other: return "the directory was replaced by a file";
        case Type::Directory: break;
    }
    if (observed.directory.uid != self)
        return "the owner of the directory was changed to uid " +
               std::to_string(observed.directory.uid);
    if (!closedToOthers(observed.directory.mode))
        return "the mode of the directory was changed to " + octal(observed.directory.mode);
    switch (observed.hosts.type) {
        case Type::Absent: return "hosts.toml was deleted";
        case Type::Symlink:
            return "hosts.toml was replaced by a symbolic link to " +
                   inQuotes(observed.hosts.target);
        case Type::Directory: return "hosts.toml was replaced by a directory";
        case Type::Other: return "hosts.toml was replaced by something that is no file";
        case Type::File: break;
    }
    if (observed.hosts.unreadable)
        return "the owner of hosts.toml was changed to uid " + std::to_string(observed.hosts.uid);
    if (observed.hosts.sha256 != intended.sha256)
        return observed.hosts.content.empty() && !observed.hosts.tooLarge
                   ? "hosts.toml was truncated"
                   : "hosts.toml was edited";
    if (observed.hosts.mode != intended.mode())
        return "the mode of hosts.toml was changed to " + octal(observed.hosts.mode);
    if (observed.hosts.uid != self)
        return "the owner of hosts.toml was changed to uid " + std::to_string(observed.hosts.uid);
    return "";
}

std::optional<RegistryAction> planDeclared(const IntendedHosts& intended, const Ownership* owned,
                                           const Seen<ObservedRegistry>& observed, uid_t self) {
    if (!observed.isKnown()) return std::nullopt;
    const bool claimed = owned != nullptr && !owned->pruned && owned->wrote(intended.sha256);
    if (claimed && inPlace(observed.value(), intended, self)) return std::nullopt;
    WriteHosts write;
    write.registry = intended.registry;
    write.directory = intended.directory;
    write.rendered = intended.rendered;
    write.sha256 = intended.sha256;
    write.mode = intended.mode();
    const ObservedEntry& hosts = observed.value().hosts;
    const bool never = owned != nullptr && !owned->pruned && !owned->placed &&
                       !(hosts.type == Type::File && owned->wrote(hosts.sha256));
    if (owned == nullptr || never) {
        write.reason = hosts.type == Type::Absent
                           ? "the registry is declared and has no hosts.toml"
                           : "the registry is declared; the hosts.toml that is there is kept";
    } else if (owned->pruned) {
        write.reason = "the registry is declared again";
    } else if (hosts.type == Type::File && owned->wrote(hosts.sha256) &&
               hosts.sha256 != intended.sha256) {
        write.reason =
            intended.why.empty() ? "the desired state of the registry changed" : intended.why;
    } else if (!owned->wrote(intended.sha256)) {
        write.reason = "the desired state of the registry changed, and " +
                       describeDrift(observed.value(), intended, self);
    } else {
        write.drifted = true;
        write.reason = describeDrift(observed.value(), intended, self);
    }
    return write;
}

std::optional<RegistryAction> planUndeclared(const std::string& directory, const Ownership* owned,
                                             const Seen<ObservedRegistry>& observed,
                                             UnmanagedPolicy policy) {
    if (!observed.isKnown()) return std::nullopt;
    const ObservedEntry& hosts = observed.value().hosts;
    const bool prune = policy == UnmanagedPolicy::Prune;
    if (owned == nullptr || owned->pruned) {
        if (prune && (hosts.type == Type::File || hosts.type == Type::Symlink)) {
            PruneHosts action;
            action.directory = directory;
            action.reason = "the registry is not declared, and unmanaged is prune";
            return action;
        }
        if (owned == nullptr || prune) return std::nullopt;
        ReleaseHosts action;
        action.directory = directory;
        action.leaveFile = hosts.type != Type::Absent;
        action.reason = "unmanaged is keep again: the file that was pruned comes back";
        return action;
    }
    ReleaseHosts action;
    action.directory = directory;
    const bool ours = hosts.type == Type::File && owned->wrote(hosts.sha256);
    // A directory that nobody else may look into is somebody's own by now.
    action.leaveFile =
        (!ours && hosts.type != Type::Absent) || observed.value().directory.unreadable;
    action.reason = action.leaveFile
                        ? "the registry is no longer declared; its hosts.toml was changed by "
                          "somebody else and stays as it is"
                    : owned->backups.empty()
                        ? "the registry is no longer declared: its hosts.toml goes"
                        : "the registry is no longer declared: the earlier file comes back";
    return action;
}

}  // namespace nodemirror
