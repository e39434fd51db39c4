#pragma once

#include "observed/config_edit_record.hpp"
#include "observed/node.hpp"

namespace nodemirror {

/// What process of containerd there is beside an edit of its configuration.
enum class ContainerdRuns {
    Nothing,     ///< none answers
    Older,       ///< one that was started before the edit was written, or may have
    Configured,  ///< one that was started after
};

/// How an edit that the state directory tells of goes on.
enum class EditStep {
    Nothing,
    RestartOwed,    ///< the old files are back, and containerd is to read them
    NoteRestarted,  ///< it has: somebody else restarted it
    TakeBack,       ///< containerd does not start with the edit
    Judge,          ///< containerd was started with it, or comes up: its CRI decides
    Prove,          ///< containerd is to be restarted with it
};

/// What is being started, or ended and is started anew, is waited for; what a person stopped is
/// none of ours.
EditStep planResumption(const ConfigEditRecord& record, ContainerdRuns runs,
                        const Seen<ObservedUnit>& unit);

}  // namespace nodemirror
