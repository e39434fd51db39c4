#include "diagnose/doctor.hpp"

#include "diagnose/checks.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

using Check = void (*)(const NodeFacts&, checks::Findings&);

/// In the order in which a person would look; doctor sorts by severity, and keeps this order within
/// one.
constexpr Check kChecks[] = {
    checks::containerdReachable, checks::criLoaded,
    checks::configPath,          checks::configNotLoaded,
    checks::legacyMirrors,       checks::misplacedRegistry,
    checks::treeUnreadable,      checks::registryFiles,
    checks::maskedDefault,       checks::proxies,
    checks::hostsReachable,      checks::clockSkew,
    checks::sandboxImage,        checks::kubelet,
    checks::diskSpace,
};

}  // namespace

namespace checks {

void add(Findings& findings, Finding::Severity severity, std::string code, std::string subject,
         std::string evidence, std::string remedy) {
    Finding finding;
    finding.severity = severity;
    finding.code = std::move(code);
    finding.subject = std::move(subject);
    finding.evidence = std::move(evidence);
    finding.remedy = std::move(remedy);
    findings.push_back(std::move(finding));
}

}  // namespace checks

const char* severityName(Finding::Severity severity) {
    switch (severity) {
        case Finding::Severity::Critical: return "critical";
        case Finding::Severity::Warning: return "warning";
        case Finding::Severity::Note: return "note";
    }
    return "";
}

std::vector<Finding> examineNode(const NodeFacts& facts) {
    std::vector<Finding> findings;
    for (const Check check : kChecks) check(facts, findings);
    std::stable_sort(findings.begin(), findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
    return findings;
}

}  // namespace nodemirror
