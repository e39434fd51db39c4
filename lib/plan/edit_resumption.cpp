#include "plan/edit_resumption.hpp"

#include <string>

namespace nodemirror {

EditStep planResumption(const ConfigEditRecord& record, ContainerdRuns runs,
                        const Seen<ObservedUnit>& unit) {
    using Stage = ConfigEditRecord::Stage;
    const std::string state = unit.isKnown() ? unit.value().activeState : "";
    const bool failed = runs == ContainerdRuns::Nothing && state == "failed";
    const bool gone = runs == ContainerdRuns::Nothing && !failed;
    const bool comes = state == "activating" || state == "active";
    if (record.stage == Stage::RolledBack && record.restartOwed && !gone)
        return runs == ContainerdRuns::Configured ? EditStep::NoteRestarted : EditStep::RestartOwed;
    if (record.stage != Stage::Applying || (gone && !comes)) return EditStep::Nothing;
    if (failed) return EditStep::TakeBack;
    return runs == ContainerdRuns::Older ? EditStep::Prove : EditStep::Judge;
}

}  // namespace nodemirror
