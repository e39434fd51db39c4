#include "cli/daemon_commands.hpp"

#include "base/text.hpp"
#include "cli/daemon_client.hpp"

#include <chrono>
#include <iostream>
#include <thread>

namespace nodemirror::cli {

namespace {

constexpr int kQuick = 15;       // seconds
constexpr int kReconcile = 180;  // the daemon itself answers after two minutes at the latest

/// Asks and parses; complains and gives an exit status where that fails.
int fetch(const std::string& socket, const std::string& method, const std::string& target,
          int seconds, Document& out) {
    const auto answer = askDaemon(socket, method, target, seconds, [&] {
        complain("the daemon has not answered yet; waiting up to " + std::to_string(seconds) +
                 " s in all");
    });
    if (!answer) {
        complain(answer.error().text());
        return kNoDaemon;
    }
    out = Document::parse(answer->body, nullptr, false);
    if (out.is_discarded() || answer->status != 200) {
        const bool told = out.is_object() && out.contains("detail");
        complain("the daemon answered " + std::to_string(answer->status) +
                 (told ? ": " + out["detail"].get<std::string>() : ""));
        return answer->status == 403 ? kUsage : kNoDaemon;
    }
    return kFine;
}

void printDiff(const std::string& diff, const Output& output) {
    for (const auto& line : split(diff, '\n')) {
        Colour colour = Colour::None;
        if (line.rfind("@@", 0) == 0) colour = Colour::Dim;
        if (line.rfind('+', 0) == 0) colour = Colour::Good;
        if (line.rfind('-', 0) == 0) colour = Colour::Bad;
        if (!line.empty()) std::cout << paint(output, colour, line) << "\n";
    }
}

}  // namespace

void printPlan(const Document& plan, const Output& output) {
    if (output.format != Format::Text) {
        printDocument(output, plan);
        return;
    }
    const auto& changes = plan["changes"];
    for (const auto& reason : plan["reasons"]) {
        std::cout << paint(output, Colour::Bad, reason["code"].get<std::string>()) << " "
                  << printable(reason["message"].get<std::string>()) << "\n";
        if (const auto remedy = reason["remedy"].get<std::string>(); !remedy.empty())
            std::cout << "  " << paint(output, Colour::Dim, "remedy: " + remedy) << "\n";
    }
    if (changes.empty()) {
        if (plan["reasons"].empty()) std::cout << "Nothing to change.\n";
        return;
    }
    for (const auto& change : changes) {
        std::cout << paint(output, Colour::Bold, change["subject"].get<std::string>()) << "\n  "
                  << paint(output, Colour::Dim, change["reason"].get<std::string>()) << "\n";
        printDiff(change["diff"].get<std::string>(), output);
    }
    std::cout << changes.size() << (changes.size() == 1 ? " change\n" : " changes\n");
}

int plan(const std::string& socket, const Output& output) {
    Document document;
    if (const int failed = fetch(socket, "GET", "/v1/plan", kQuick * 4, document); failed != kFine)
        return failed;
    printPlan(document, output);
    return document["changes"].empty() && document["reasons"].empty() ? kFine : kAnswerIsNo;
}

int status(const std::string& socket, bool watch, const Output& output) {
    while (true) {
        Document document;
        const int failed = fetch(socket, "GET", "/v1/status", kQuick, document);
        if (failed != kFine && !watch) return failed;
        if (watch && output.format == Format::Text && output.colour) std::cout << "\x1b[2J\x1b[H";
        if (failed == kFine) printStatus(document, output);
        if (!watch) return document["phase"] == "Ready" ? kFine : kAnswerIsNo;
        std::cout << std::flush;
        std::this_thread::sleep_for(std::chrono::seconds(2));
    }
}

int reconcile(const std::string& socket, const Output& output) {
    Document document;
    if (const int failed = fetch(socket, "POST", "/v1/reconcile", kReconcile, document);
        failed != kFine)
        return failed;
    if (output.format == Format::Text) {
        const auto changed = document["changed"].get<size_t>();
        size_t failed = 0;
        for (const auto& reason : document["status"]["reasons"])
            failed += reason["code"] == "RegistryDrifted";
        const auto files = [](size_t count) {
            return std::to_string(count) + (count == 1 ? " file" : " files");
        };
        if (changed > 0)
            std::cout << files(changed) << (changed == 1 ? " was changed" : " were changed");
        if (failed > 0)
            std::cout << (changed > 0 ? "; " : "") << files(failed) << " could not be changed";
        std::cout << (changed + failed > 0 ? ".\n" : "No file had to be changed.\n");
        printStatus(document["status"], output);
    } else {
        printDocument(output, document);
    }
    return document["status"]["phase"] == "Ready" ? kFine : kAnswerIsNo;
}

}  // namespace nodemirror::cli
