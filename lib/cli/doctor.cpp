#include "cli/doctor.hpp"

#include "base/text.hpp"
#include "base/time.hpp"
#include "diagnose/doctor.hpp"
#include "survey/host_probes.hpp"

#include <boost/asio/co_spawn.hpp>

#include <iostream>

namespace nodemirror::cli {

namespace asio = boost::asio;

namespace {

Colour colourOf(Finding::Severity severity) {
    switch (severity) {
        case Finding::Severity::Critical: return Colour::Bad;
        case Finding::Severity::Warning: return Colour::Warn;
        case Finding::Severity::Note: return Colour::Dim;
    }
    return Colour::None;
}

void printFindings(const std::vector<Finding>& findings, const Output& output) {
    for (const auto& finding : findings) {
        std::cout << paint(output, colourOf(finding.severity), severityName(finding.severity))
                  << "  " << paint(output, Colour::Bold, finding.code) << "  "
                  << printable(finding.subject) << "\n    " << printable(finding.evidence)
                  << "\n    " << paint(output, Colour::Dim, "remedy: " + finding.remedy) << "\n";
    }
    if (findings.empty()) std::cout << "Nothing is known to break pulls on this node.\n";
}

Document toDocument(const std::vector<Finding>& findings, const NodeFacts& facts) {
    Document list = Document::array();
    for (const auto& finding : findings)
        list.push_back({{"severity", severityName(finding.severity)},
                        {"code", finding.code},
                        {"subject", printable(finding.subject)},
                        {"evidence", printable(finding.evidence)},
                        {"remedy", printable(finding.remedy)}});
    Document out;
    out["containerd"] = {{"version", facts.version.text()}, {"assumed", facts.versionAssumed}};
    out["findings"] = std::move(list);
    return out;
}

Task<int> examine(asio::io_context& io, const DoctorArguments& arguments, Patience patience,
                  Output output) {
    Resolver resolver(io);
    NodeSurvey survey(io, arguments.survey);
    auto look = survey.look();
    auto facts = co_await std::move(look);
    if (!facts) {
        complain(facts.error().text());
        co_return kUsage;
    }
    auto probes = probeHosts(io, resolver, *facts, patience);
    co_await std::move(probes);
    const auto findings = examineNode(*facts);
    if (output.format == Format::Text)
        printFindings(findings, output);
    else
        printDocument(output, toDocument(findings, *facts));
    for (const auto& finding : findings)
        if (finding.severity != Finding::Severity::Note) co_return kAnswerIsNo;
    co_return kFine;
}

}  // namespace

int doctor(const DoctorArguments& arguments, const Output& output) {
    const auto timeout = parseGoDuration(arguments.timeout);
    if (!timeout || timeout->count() <= 0) {
        complain("--timeout " + inQuotes(arguments.timeout) +
                 " is no duration; write it as 5s or 500ms");
        return kUsage;
    }
    Patience patience;
    patience.connect = patience.handshake = patience.answer = patience.body = *timeout;
    asio::io_context io;
    int code = kUsage;
    const auto done = [&io, &code](std::exception_ptr failure, int answer) {
        io.stop();
        if (failure) std::rethrow_exception(failure);
        code = answer;
    };
    asio::co_spawn(io, examine(io, arguments, patience, output), done);
    io.run();
    return code;
}

}  // namespace nodemirror::cli
