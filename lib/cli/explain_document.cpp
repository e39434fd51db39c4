#include "base/text.hpp"
#include "cli/explain.hpp"
#include "diagnose/pull_words.hpp"

namespace nodemirror::cli {

namespace {

double milliseconds(Duration duration) {
    return static_cast<double>(
               std::chrono::duration_cast<std::chrono::microseconds>(duration).count()) /
           1000;
}

Document toDocument(const Exchange& exchange) {
    Document out;
    out["method"] = exchange.method;
    out["url"] = exchange.url;
    out["purpose"] = exchange.purpose;
    out["proxy"] = exchange.proxy;
    out["addresses"] = exchange.addresses;
    out["connectedTo"] = exchange.connectedTo;
    out["tls"] = exchange.tls;
    out["certificate"] = nullptr;
    if (exchange.certificate) {
        out["certificate"] = {{"subject", exchange.certificate->subject},
                              {"issuer", exchange.certificate->issuer},
                              {"names", exchange.certificate->names},
                              {"notBefore", rfc3339(exchange.certificate->notBefore)},
                              {"notAfter", rfc3339(exchange.certificate->notAfter)}};
    }
    out["status"] = exchange.status;
    out["fault"] = faultName(exchange.fault);
    out["error"] = printable(exchange.error);
    out["ms"] = {{"dns", milliseconds(exchange.dns)},
                 {"connect", milliseconds(exchange.connect)},
                 {"tls", milliseconds(exchange.handshake)},
                 {"answer", milliseconds(exchange.answer)},
                 {"total", milliseconds(exchange.total)}};
    return out;
}

Document exchangesOf(const RegistryAnswer& answer) {
    Document out = Document::array();
    for (const auto& exchange : answer.exchanges) out.push_back(toDocument(exchange));
    return out;
}

Document toDocument(const HostFinding& finding) {
    Document out;
    out["host"] = finding.host.host;
    out["url"] = finding.url;
    out["capabilities"] = finding.host.capabilities;
    out["asked"] = finding.resolves;
    out["status"] = finding.head.status;
    out["class"] = hostClass(finding);
    out["error"] = printable(finding.head.error);
    out["code"] = finding.apiError.code;
    out["digest"] = printable(finding.digest);
    out["exchanges"] = exchangesOf(finding.head);
    return out;
}

Document toDocument(const PieceFinding& piece, const ImageFindings& findings) {
    Document attempts = Document::array();
    for (const auto& attempt : piece.attempts) {
        Document item;
        item["host"] = findings.hosts[attempt.host].host.host;
        item["status"] = attempt.answer.status;
        item["error"] = printable(attempt.answer.error);
        attempts.push_back(std::move(item));
    }
    Document out;
    out["what"] = piece.what;
    out["digest"] = piece.descriptor.digest;
    out["size"] = piece.descriptor.size;
    out["servedBy"] =
        piece.servedBy ? Document(findings.hosts[*piece.servedBy].host.host) : Document(nullptr);
    out["verified"] = piece.whole && piece.fault == Fault::None;
    out["fault"] = faultName(piece.fault);
    out["error"] = printable(piece.error);
    out["attempts"] = std::move(attempts);
    return out;
}

Document toDocument(const PullVerdict& verdict, const ImageFindings& findings) {
    Document out;
    out["works"] = verdict.works;
    out["host"] =
        verdict.host ? Document(findings.hosts[*verdict.host].host.host) : Document(nullptr);
    out["class"] = verdict.errorClass;
    out["summary"] = printable(verdict.summary);
    out["kubeletError"] = printable(verdict.kubeletError);
    out["remedies"] = verdict.remedies;
    out["notes"] = verdict.notes;
    return out;
}

}  // namespace

Document toDocument(const Explanation& explanation, const NodeFacts& facts) {
    const ImageFindings& findings = explanation.findings;
    Document hosts = Document::array();
    for (const auto& host : findings.hosts) hosts.push_back(toDocument(host));
    Document pieces = Document::array();
    for (const auto& piece : findings.pieces) pieces.push_back(toDocument(piece, findings));
    Document alternatives = Document::array();
    for (const auto& reference : explanation.alternatives)
        alternatives.push_back({{"image", reference}, {"command", setImageCommand(reference)}});
    Document out;
    out["image"] = findings.reference.text();
    out["registry"] = findings.reference.host;
    out["platform"] = findings.platform.text();
    out["containerd"] = {
        {"version", facts.version.text()},
        {"assumed", facts.versionAssumed},
        {"configPath",
         {{"value", facts.configPath.value}, {"source", sourceName(facts.configPath.source)}}}};
    out["directory"] = explanation.choice.reading.directory;
    out["why"] = explanation.choice.why;
    out["ignored"] = explanation.choice.reading.ignored;
    out["warnings"] = textsOf(explanation.choice.reading.warnings);
    out["hosts"] = std::move(hosts);
    out["pieces"] = std::move(pieces);
    out["verdict"] = toDocument(explanation.verdict, findings);
    out["alternatives"] = std::move(alternatives);
    out["ctr"] = ctrDifference(findings);
    return out;
}

}  // namespace nodemirror::cli
