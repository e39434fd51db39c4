#include "status/status.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

void judgeDesired(const DesiredView& desired, std::vector<Reason>& reasons) {
    using Weight = Reason::Weight;
    if (desired.notKept)
        reasons.push_back(
            makeReason(Weight::Degraded, "StateNotWritable", desired.path,
                       desired.notKept->brief() +
                           ": should the file be broken at the next start, an older state would "
                           "be in force",
                       desired.notKept->remedy()));
    if (desired.valid) return;
    const std::string held = desired.inForce ? "; the last good state stays in force"
                                             : "; nothing is done until it is valid";
    const std::string first =
        desired.problems.empty()
            ? "it has not been read"
            : (desired.problems.front().line > 0
                   ? "line " + std::to_string(desired.problems.front().line) + ": "
                   : "") +
                  desired.problems.front().message;
    // A problem of the file itself has neither a line nor a key.
    const bool inText = !desired.problems.empty() && (desired.problems.front().line > 0 ||
                                                      !desired.problems.front().key.empty());
    const std::string remedy = inText                    ? "nodemirrorctl validate " + desired.path
                               : !desired.remedy.empty() ? desired.remedy
                                                         : "make it a readable file of root's, "
                                                           "which nobody else may write: ls -ld " +
                                                               desired.path;
    reasons.push_back(makeReason(desired.inForce ? Weight::Degraded : Weight::Blocked,
                                 "DesiredInvalid", desired.path, first + held, remedy));
}

void judgeRegistry(const RegistryView& view, std::vector<Reason>& reasons) {
    using Weight = Reason::Weight;
    const bool declared = view.fallback.has_value();
    switch (view.state) {
        case RegistryState::InSync:
        case RegistryState::Unmanaged: break;
        case RegistryState::Drifted:
            reasons.push_back(makeReason(Weight::Degraded, "RegistryDrifted", view.name,
                                         view.problem.empty() ? "not in place yet" : view.problem,
                                         view.remedy.empty()
                                             ? "it is tried again by itself"
                                             : view.remedy + "; it is tried again by itself"));
            break;
        case RegistryState::Contested:
            reasons.push_back(makeReason(Weight::Degraded, "RegistryContested", view.name,
                                         view.problem,
                                         "stop what writes " + view.directory +
                                             "/hosts.toml, or declare there what it wants"));
            break;
        case RegistryState::Invalid:
            reasons.push_back(makeReason(
                declared ? Weight::Blocked : Weight::Note,
                declared ? "RegistryInvalid" : "UnmanagedInvalid", view.name, view.problem,
                declared
                    ? "change the registry's mirrors"
                    : "mend or remove " + view.directory + "/hosts.toml, or declare the registry"));
            break;
    }
}

void judgeTree(const std::string& certsDir, const TreeState& tree, std::vector<Reason>& reasons) {
    if (tree.problem)
        reasons.push_back(
            makeReason(Reason::Weight::Blocked, "CertsDirUnusable", certsDir, tree.problem->brief(),
                       tree.problem->remedy().empty() ? "make it a directory of root's"
                                                      : tree.problem->remedy()));
    if (tree.leftOut > 0)
        reasons.push_back(makeReason(Reason::Weight::Note, "TooManyEntries", certsDir,
                                     std::to_string(tree.leftOut) +
                                         " undeclared entries in it are not looked at: there are "
                                         "too many",
                                     "remove what does not belong there"));
    if (!tree.unwatched.empty())
        reasons.push_back(makeReason(
            Reason::Weight::Degraded, "WatchesExhausted", certsDir,
            "drift is found by looking every few seconds, not at once: " + tree.unwatched,
            "let nodemirrord read what is named; or, where space or files have run out, raise "
            "fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl)"));
}

}  // namespace

void judge(Status& status, const TreeState& tree) {
    status.reasons = status.nodeView.reasons;
    judgeDesired(status.desired, status.reasons);
    judgeTree(status.certsDir, tree, status.reasons);
    status.reasons.insert(status.reasons.end(), status.mirrorReasons.begin(),
                          status.mirrorReasons.end());
    for (const auto& view : status.registries) judgeRegistry(view, status.reasons);
    for (const auto& unit : status.nodeView.units)
        if (unit.observed.isKnown() && !unit.observed.value().exists)
            status.reasons.push_back(makeReason(Reason::Weight::Note, "UnitMissing", unit.unit,
                                                "there is no such unit: it will not be restarted",
                                                "name the right unit under services"));
    std::stable_sort(status.reasons.begin(), status.reasons.end(),
                     [](const Reason& a, const Reason& b) { return a.weight > b.weight; });
    const bool started = status.nodeView.ofDesired || !status.desired.inForce;
    const Reason::Weight worst =
        status.reasons.empty() ? Reason::Weight::Note : status.reasons.front().weight;
    status.phase = worst == Reason::Weight::Blocked    ? Phase::Blocked
                   : !started                          ? Phase::Starting
                   : worst == Reason::Weight::Degraded ? Phase::Degraded
                                                       : Phase::Ready;
}

const char* phaseName(Phase phase) {
    switch (phase) {
        case Phase::Starting: return "Starting";
        case Phase::Ready: return "Ready";
        case Phase::Degraded: return "Degraded";
        case Phase::Blocked: return "Blocked";
    }
    return "";
}

}  // namespace nodemirror
