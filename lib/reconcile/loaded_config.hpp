#pragma once

#include "base/time.hpp"
#include "containerd_config/config_reader.hpp"
#include "state/state_dir.hpp"

#include <optional>
#include <string>

namespace nodemirror {

/// What the containerd that runs now has read of its configuration. It is known from having been
/// started by this daemon, from having been seen to read certs.d, or else from the age of files.
class LoadedConfig {
  public:
    struct Process {
        int id = 0;                  ///< behind the socket; 0 where none answers
        std::optional<Now> started;  ///< where systemd knows it
    };

    LoadedConfig(StateDir state, std::string socket, std::string certsDir)
        : state_(std::move(state)), socket_(std::move(socket)), certsDir_(std::move(certsDir)) {}
    /// Reads which process was seen to read certs.d when the daemon last ran.
    void start();

    /// Whether the process was started after the configuration last changed.
    Seen<bool> startedAfter(const Process& process, const ContainerdConfig& config);
    /// A name of a process over time: containerd makes its socket anew at every start. Empty where
    /// it has none, since systemd itself listens.
    std::string identity(int process) const;
    /// Whether it was started after the files of an edit were written, whatever befell others.
    Seen<bool> hasReadEdit(const Process& process, const ConfigEditRecord& edit) const;
    /// Whether it reads certs.d as the configuration says, of which `edit` may be a part. A later
    /// change of something else does not matter.
    Seen<bool> readsCertsDir(const Process& process, const ContainerdConfig& config,
                             const ConfigEditRecord& edit);

    /// The process was started for this configuration, or with this edit.
    void noteStarted(int process, const ContainerdConfig& config);
    void noteStarted(int process, const ConfigEditRecord& edit);
    /// Whether it was started with the edit of that fingerprint, so that one that makes the same
    /// texts again changes nothing for it.
    bool wasStartedWith(int process, const std::string& fingerprint) const {
        return startedEdited_.is(process, fingerprint);
    }
    /// The process was seen to read certs.d.
    void noteReadsCertsDir(int process) { reader_ = process; }
    /// Keeps which that is over a restart of the daemon, which must be no reason to restart
    /// containerd.
    void remember();

  private:
    /// A process and what it was seen with.
    struct Sighting {
        int process = 0;
        std::string what;
        bool is(int id, const std::string& now) const {
            return id > 0 && id == process && now == what;
        }
    };

    StateDir state_;
    std::string socket_;
    std::string certsDir_;
    Sighting firstSeen_;      ///< with the digest of the configuration at the first look
    Sighting startedFor_;     ///< with the digest of what it was started for
    Sighting startedEdited_;  ///< with the fingerprint of the edit
    int reader_ = 0;          ///< of certs.d
    std::string savedReader_;
};

}  // namespace nodemirror
