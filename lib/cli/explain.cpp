#include "cli/explain.hpp"

#include "base/text.hpp"
#include "base/time.hpp"
#include "cli/run.hpp"
#include "diagnose/pull_words.hpp"
#include "trial/this_platform.hpp"

#include <cstdio>
#include <iostream>

namespace nodemirror::cli {

namespace asio = boost::asio;

namespace {

std::string inMilliseconds(Duration duration) {
    char buffer[32];
    const double value =
        static_cast<double>(
            std::chrono::duration_cast<std::chrono::microseconds>(duration).count()) /
        1000;
    std::snprintf(buffer, sizeof buffer, "%.1f ms", value);
    return buffer;
}

/// One line for each step that a request took.
void printExchange(const Exchange& exchange, const Output& output) {
    const std::string purpose = exchange.purpose.empty() ? "" : exchange.purpose + ": ";
    std::cout << "      " << paint(output, Colour::Dim, purpose + exchange.method + " ")
              << oneLine(exchange.url) << "\n";
    std::vector<std::string> steps;
    if (!exchange.proxy.empty()) steps.push_back("proxy " + exchange.proxy);
    if (!exchange.addresses.empty()) steps.push_back("addresses " + join(exchange.addresses, " "));
    if (!exchange.connectedTo.empty())
        steps.push_back("connected to " + exchange.connectedTo + " in " +
                        inMilliseconds(exchange.connect));
    if (exchange.certificate)
        steps.push_back((exchange.tls.empty() ? "TLS" : exchange.tls) + ", certificate of " +
                        inQuotes(exchange.certificate->issuer) + " until " +
                        rfc3339(exchange.certificate->notAfter).substr(0, 10));
    if (exchange.status > 0)
        steps.push_back("status " + std::to_string(exchange.status) + " in " +
                        inMilliseconds(exchange.total));
    if (!exchange.error.empty()) steps.push_back(exchange.error);
    for (const auto& step : steps)
        std::cout << "        " << paint(output, Colour::Dim, step) << "\n";
}

void printHost(size_t number, const HostFinding& finding, const Output& output) {
    const std::string kind = hostClass(finding);
    const bool fine = kind.empty();
    std::cout << "  " << number << ". " << paint(output, Colour::Bold, finding.host.url()) << "  "
              << paint(output, fine ? Colour::Good : Colour::Bad, fine ? "has it" : kind) << "\n";
    if (!finding.resolves)
        printProse(output, Colour::Warn,
                   "its capabilities keep containerd from asking it for this reference", 6);
    for (const auto& exchange : finding.head.exchanges) printExchange(exchange, output);
    if (!fine) printProse(output, Colour::Bad, describeHost(finding), 6);
}

void printPieces(const ImageFindings& findings, const Output& output) {
    if (findings.pieces.empty()) return;
    std::cout << "Pieces for " << findings.platform.text() << "\n";
    Table table;
    for (const auto& piece : findings.pieces) {
        const bool good = piece.servedBy && piece.fault == Fault::None;
        std::string from = piece.servedBy ? findings.hosts[*piece.servedBy].host.host : "nobody";
        if (!piece.error.empty()) from += ": " + piece.error;
        table.row({{Colour::None, piece.what},
                   {Colour::Dim, piece.descriptor.digest.substr(0, 19)},
                   {Colour::Dim, std::to_string(piece.descriptor.size) + " bytes"},
                   {good ? Colour::Good : Colour::Bad, !good         ? "failed"
                                                       : piece.whole ? "verified"
                                                                     : "begins well"},
                   {Colour::Dim, from}});
    }
    table.print(output, "  ");
}

void printChain(const Explanation& explanation, const NodeFacts& facts, const Output& output) {
    const ChainReading& reading = explanation.choice.reading;
    std::cout << paint(output, Colour::Bold, explanation.findings.reference.text()) << "\n"
              << "containerd " << facts.version.text() << (facts.versionAssumed ? " (assumed)" : "")
              << ", config_path " << inQuotes(facts.configPath.value) << " ("
              << sourceName(facts.configPath.source) << ")\n"
              << "Hosts of " << reading.registry << ": " << oneLine(explanation.choice.why) << "\n";
    if (!reading.error.empty())
        std::cout << paint(output, Colour::Bad, reading.consequence()) << "\n";
    if (!reading.ignored.empty())
        std::cout << paint(output, Colour::Bad, "the file is dropped: " + reading.ignored) << "\n";
    for (const auto& warning : reading.warnings)
        std::cout << paint(output, Colour::Warn, "warning: " + warning.text) << "\n";
}

Result<Platform> parsePlatform(const std::string& text) {
    if (text.empty()) return thisPlatform();
    const auto parts = split(text, '/');
    if (parts.size() < 2 || parts.size() > 3)
        return Error("read", "--platform " + text, "it is no os/architecture[/variant]",
                     "write it as linux/amd64 or linux/arm/v7");
    Platform out;
    out.os = parts[0];
    out.architecture = parts[1];
    if (parts.size() == 3) out.variant = parts[2];
    return out;
}

}  // namespace

std::string setImageCommand(const std::string& reference) {
    return "kubectl -n NAMESPACE set image deployment/NAME CONTAINER=" + reference;
}

void printExplanation(const Explanation& explanation, const NodeFacts& facts,
                      const Output& output) {
    const PullVerdict& verdict = explanation.verdict;
    printChain(explanation, facts, output);
    for (size_t i = 0; i < explanation.findings.hosts.size(); ++i)
        printHost(i + 1, explanation.findings.hosts[i], output);
    printPieces(explanation.findings, output);
    std::cout << "\n";
    printProse(output, verdict.works ? Colour::Good : Colour::Bad, verdict.summary, 0);
    if (!verdict.kubeletError.empty())
        printProse(output, Colour::None, "kubelet shows: " + verdict.kubeletError, 0);
    for (const auto& remedy : verdict.remedies) std::cout << "remedy: " << oneLine(remedy) << "\n";
    for (const auto& note : verdict.notes) printProse(output, Colour::None, "note: " + note, 0);
    for (const auto& reference : explanation.alternatives)
        std::cout << "would work now: " << paint(output, Colour::Bold, setImageCommand(reference))
                  << "\n";
    printProse(output, Colour::None, "ctr: " + ctrDifference(explanation.findings), 0);
    std::cout << std::flush;  // whoever ends the next one early keeps this one
}

namespace {

/// The arguments as they are used; an Error names the one that cannot be.
struct Prepared {
    std::vector<ImageReference> references;
    ExplainOptions options;
};

Result<Prepared> prepare(const ExplainArguments& arguments, const Patience& patience) {
    Prepared out;
    for (const auto& image : arguments.images) {
        auto reference = parseImageReference(image);
        if (!reference) return reference.error();
        out.references.push_back(std::move(*reference));
    }
    auto platform = parsePlatform(arguments.platform);
    if (!platform) return platform.error();
    out.options.platform = std::move(*platform);
    out.options.full = arguments.full;
    out.options.patience = patience;
    return out;
}

/// Explains one image after another and prints each as soon as it is known.
Task<int> explainAll(asio::io_context& io, SurveyOptions options, Prepared prepared,
                     Output output) {
    Resolver resolver(io);
    NodeSurvey survey(io, std::move(options));
    auto look = survey.look();
    const auto facts = co_await std::move(look);
    if (!facts) {
        complain(facts.error().text());
        co_return kUsage;
    }
    int code = kFine;
    for (const auto& reference : prepared.references) {
        auto task = explainImage(io, resolver, *facts, reference, prepared.options);
        const Explanation explanation = co_await std::move(task);
        if (!explanation.verdict.works) code = kAnswerIsNo;
        if (output.format == Format::Text) {
            if (&reference != &prepared.references.front()) std::cout << "\n";
            printExplanation(explanation, *facts, output);
        } else if (prepared.references.size() == 1 || output.format == Format::Yaml) {
            if (output.format == Format::Yaml && prepared.references.size() > 1)
                std::cout << "---\n";
            printDocument(output, toDocument(explanation, *facts));
        } else {
            std::cout << toDocument(explanation, *facts)
                             .dump(-1, ' ', true, Document::error_handler_t::replace)
                      << "\n";
        }
        std::cout << std::flush;
    }
    co_return code;
}

}  // namespace

int explain(const ExplainArguments& arguments, const Output& output) {
    const auto patience = patienceFrom(arguments.timeout);
    if (!patience) return kUsage;
    auto prepared = prepare(arguments, *patience);
    if (!prepared) {
        complain(prepared.error().text());
        return kUsage;
    }
    return runCommand([&](asio::io_context& io) {
        return explainAll(io, arguments.survey, std::move(*prepared), output);
    });
}

}  // namespace nodemirror::cli
