#include "cli/findings.hpp"

#include "base/text.hpp"

#include <iostream>

namespace nodemirror::cli {

namespace {

Colour colourOf(Finding::Severity severity) {
    switch (severity) {
        case Finding::Severity::Critical: return Colour::Bad;
        case Finding::Severity::Warning: return Colour::Warn;
        case Finding::Severity::Note: return Colour::Dim;
    }
    return Colour::None;
}

}  // namespace

void printFindings(const std::vector<Finding>& findings, const Output& output) {
    for (const auto& finding : findings) {
        std::cout << paint(output, colourOf(finding.severity), severityName(finding.severity))
                  << "  " << paint(output, Colour::Bold, finding.code) << "  "
                  << oneLine(finding.subject) << "\n";
        printProse(output, Colour::None, finding.evidence, 4);
        std::cout << "    " << paint(output, Colour::Dim, "remedy: " + finding.remedy) << "\n";
    }
}

Document toDocument(const std::vector<Finding>& findings) {
    Document out = Document::array();
    for (const auto& finding : findings)
        out.push_back({{"severity", severityName(finding.severity)},
                       {"code", finding.code},
                       {"subject", oneLine(finding.subject)},
                       {"evidence", oneLine(finding.evidence)},
                       {"remedy", oneLine(finding.remedy)}});
    return out;
}

}  // namespace nodemirror::cli
