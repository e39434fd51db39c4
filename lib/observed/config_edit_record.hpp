#pragma once

#include <string>
#include <vector>

namespace nodemirror {

/// An edit of containerd's configuration that is under way or has been taken back.
struct ConfigEditRecord {
    enum class Stage { None, Applying, RolledBack };
    struct File {
        std::string path;
        bool existed = true;
        std::string backup;  ///< name in the state directory's backups
        std::string afterSha256;
    };
    Stage stage = Stage::None;
    std::vector<File> files;
    std::string fingerprint;   ///< of what was attempted; the same is not attempted again
    std::string error;         ///< containerd's own text, when rolled back
    bool restartOwed = false;  ///< the old files are back, and containerd has not read them yet
    std::string unreadBy;      ///< the containerd that ran as it was written (LoadedConfig)
};

}  // namespace nodemirror
