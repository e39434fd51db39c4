#include "diagnose/workload.hpp"
#include "targets.hpp"

namespace nodemirror::fuzz {

/// Whatever a cluster says is judged without harm, and commands that are shown are single lines.
void kubectlJson(std::string_view input) {
    const auto objects = readClusterObjects(std::string(input));
    if (!objects) {
        expect(!objects.error().text().empty(), "a refusal has a reason");
        return;
    }
    const WorkloadReport report = examineWorkload(*objects);
    for (const auto& waiting : report.images)
        for (const auto& command : setImageCommands(waiting, "mirror.example/x:1"))
            expect(command.find('\n') == std::string::npos, "a command is one line");
}

}  // namespace nodemirror::fuzz
