#include "cli/doctor.hpp"

#include "cli/findings.hpp"
#include "cli/run.hpp"
#include "trial/host_probes.hpp"

#include <algorithm>
#include <iostream>

namespace nodemirror::cli {

namespace {

Task<int> examine(boost::asio::io_context& io, SurveyOptions options, Patience patience,
                  Output output) {
    Resolver resolver(io);
    NodeSurvey survey(io, std::move(options));
    auto look = survey.look();
    auto facts = co_await std::move(look);
    if (!facts) {
        complain(facts.error().text());
        co_return kUsage;
    }
    auto probes = probeHosts(io, resolver, *facts, patience);
    co_await std::move(probes);
    const auto findings = examineNode(*facts);
    if (output.format == Format::Text) {
        printFindings(findings, output);
        if (findings.empty()) std::cout << "Nothing is known to break pulls on this node.\n";
    } else {
        Document document;
        document["containerd"] = {{"version", facts->version.text()},
                                  {"assumed", facts->versionAssumed}};
        document["findings"] = toDocument(findings);
        printDocument(output, document);
    }
    const bool well = std::all_of(findings.begin(), findings.end(), [](const Finding& finding) {
        return finding.severity == Finding::Severity::Note;
    });
    co_return well ? kFine : kAnswerIsNo;
}

}  // namespace

int doctor(const DoctorArguments& arguments, const Output& output) {
    const auto patience = patienceFrom(arguments.timeout);
    if (!patience) return kUsage;
    return runCommand([&](boost::asio::io_context& io) {
        return examine(io, arguments.survey, *patience, output);
    });
}

}  // namespace nodemirror::cli
