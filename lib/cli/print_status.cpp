#include "base/text.hpp"
#include "cli/daemon_commands.hpp"

#include <cstdio>
#include <iostream>

namespace nodemirror::cli {

namespace {

std::string text(const Document& value) {
    return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

std::string inMilliseconds(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, value < 10 ? "%.1f ms" : "%.0f ms", value);
    return buffer;
}

Colour phaseColour(const std::string& phase) {
    if (phase == "Ready") return Colour::Good;
    return phase == "Blocked" ? Colour::Bad : Colour::Warn;
}

/// yes, no or unknown.
std::pair<Colour, std::string> answer(const Document& value, const char* yes, const char* no) {
    if (!value.is_boolean()) return {Colour::Warn, "unknown"};
    return value.get<bool>() ? std::pair<Colour, std::string>{Colour::Good, yes}
                             : std::pair<Colour, std::string>{Colour::Bad, no};
}

void printReasons(const Document& reasons, const Output& output) {
    for (const auto& reason : reasons) {
        const std::string subject = text(reason["subject"]);
        const std::string code = text(reason["code"]);
        const std::string about = (subject.empty() ? "" : " " + oneLine(subject)) + ": ";
        std::cout << "  " << paint(output, Colour::Warn, code) << about;
        printProse(output, Colour::None, text(reason["message"]), 4,
                   2 + code.size() + about.size());
        if (!text(reason["remedy"]).empty())
            std::cout << "    " << paint(output, Colour::Dim, "remedy: " + text(reason["remedy"]))
                      << "\n";
    }
}

void printDesired(const Document& desired, const Output& output) {
    std::cout << "Desired     " << oneLine(text(desired["path"])) << "  ";
    std::cout << (desired["valid"].get<bool>() ? paint(output, Colour::Good, "valid")
                                               : paint(output, Colour::Bad, "invalid"));
    if (!text(desired["loadedAt"]).empty())
        std::cout << paint(output, Colour::Dim, ", in force since " + text(desired["loadedAt"]));
    std::cout << "\n";
    for (const auto& error : desired["errors"]) {
        // A file that could not be read has no place in it.
        const std::string place =
            error["line"].get<int>() > 0 ? text(error["line"]) + ":" + text(error["column"]) : "";
        const std::string key = text(error["key"]);
        std::cout << "  " << place << (place.empty() || key.empty() ? "" : " ") << oneLine(key)
                  << (place.empty() && key.empty() ? "" : ": ")
                  << paint(output, Colour::Bad, text(error["message"])) << "\n";
    }
}

void printContainerd(const Document& containerd, const Output& output) {
    if (!containerd["reachable"].is_boolean()) {
        std::cout << "containerd  not looked at yet\n";
        return;
    }
    const bool reachable = containerd["reachable"].get<bool>();
    std::cout << "containerd  "
              << (reachable ? oneLine(text(containerd["version"]))
                            : paint(output, Colour::Bad, "cannot be reached"))
              << "  CRI "
              << (containerd["cri"]["ready"].get<bool>() ? paint(output, Colour::Good, "ready")
                                                         : paint(output, Colour::Bad, "not ready"))
              << "\n";
    const auto& path = containerd["configPath"];
    const auto effective = answer(path["effective"], "in effect", "not in effect");
    std::cout << "            config_path " << inQuotes(text(path["value"])) << " ("
              << text(path["source"]) << ", " << paint(output, effective.first, effective.second)
              << ")\n";
}

void printRegistries(const Document& registries, const Output& output) {
    std::cout << "\n" << paint(output, Colour::Bold, "Registries") << "\n";
    if (registries.empty()) std::cout << "  none\n";
    for (const auto& registry : registries) {
        const std::string state = text(registry["state"]);
        const Colour colour = state == "InSync"      ? Colour::Good
                              : state == "Unmanaged" ? Colour::Dim
                                                     : Colour::Bad;
        const std::string fallback = text(registry["fallback"]);
        std::cout << "  " << paint(output, Colour::Bold, text(registry["name"])) << "  "
                  << paint(output, colour, state)
                  << (fallback.empty() ? "" : "  fallback " + fallback) << "\n";
        if (!text(registry["problem"]).empty())
            printProse(output, Colour::Bad, text(registry["problem"]), 4);
        Table table;
        size_t index = 0;
        for (const auto& host : registry["chain"]) {
            std::string health = text(host["health"]["state"]);
            if (host["health"]["latencyMs"].is_number())
                health += " " + inMilliseconds(host["health"]["latencyMs"].get<double>());
            if (!text(host["health"]["error"]).empty())
                health += ": " + text(host["health"]["error"]);
            table.row({{Colour::Dim, std::to_string(++index)},
                       {Colour::None, text(host["url"])},
                       {Colour::Dim, text(host["role"])},
                       {health.rfind("Unhealthy", 0) == 0 ? Colour::Bad : Colour::Dim,
                        health == "Unknown" ? "" : health}});
        }
        table.print(output, "    ");
        if (!text(registry["why"]).empty())
            printProse(output, Colour::Warn, text(registry["why"]), 4);
        if (!text(registry["lastHeal"]["at"]).empty())
            std::cout << "    "
                      << paint(output, Colour::Dim,
                               "healed " + text(registry["lastHeal"]["at"]) + ": " +
                                   text(registry["lastHeal"]["cause"]))
                      << "\n";
    }
}

void printImages(const Document& status, const Output& output) {
    std::cout << "\n" << paint(output, Colour::Bold, "Pause image") << "\n";
    Table table;
    for (const auto& image : status["pause"]["required"])
        table.row({{Colour::None, text(image["name"])},
                   answer(image["present"], "present", "missing"),
                   answer(image["pinned"], "pinned", "not pinned")});
    table.print(output, "  ");
    if (status["pause"]["required"].empty()) std::cout << "  not known yet\n";
    if (status["images"].empty()) return;
    std::cout << "\n" << paint(output, Colour::Bold, "Images") << "\n";
    Table images;
    for (const auto& image : status["images"])
        images.row({{Colour::None, text(image["name"])},
                    answer(image["present"], "present", "missing"),
                    {Colour::Bad, text(image["error"])}});
    images.print(output, "  ");
}

void printServices(const Document& services, const Output& output) {
    std::cout << "\n" << paint(output, Colour::Bold, "Services") << "\n";
    for (const auto& service : services) {
        const std::string state = text(service["activeState"]);
        const std::string last = text(service["lastRestart"]["at"]);
        const std::string left = text(service["budgetLeft"]);
        std::cout << "  " << oneLine(text(service["unit"])) << "  "
                  << paint(output, state == "active" ? Colour::Good : Colour::Warn, state) << "  "
                  << paint(output, Colour::Dim,
                           left + (left == "1" ? " restart" : " restarts") + " left in the budget")
                  << "\n";
        if (last.empty()) continue;
        // Of a restart before the daemon's own last start only the time is known.
        const std::string reason = text(service["lastRestart"]["reason"]);
        const std::string result = text(service["lastRestart"]["result"]);
        const bool done = result.empty() || result == "done";
        std::cout << "    "
                  << paint(output, done ? Colour::Dim : Colour::Warn,
                           (done ? "restarted " : "restart (" + result + ") ") + last +
                               (reason.empty() ? "" : ": " + reason))
                  << "\n";
    }
}

}  // namespace

void printStatus(const Document& status, const Output& output) {
    if (output.format != Format::Text) {
        printDocument(output, status);
        return;
    }
    const std::string phase = text(status["phase"]);
    std::cout << "Node        " << paint(output, Colour::Bold, text(status["node"])) << "  "
              << paint(output, phaseColour(phase), phase) << "  "
              << paint(output, Colour::Dim, "nodemirrord " + text(status["version"])) << "\n";
    printReasons(status["reasons"], output);
    printDesired(status["desired"], output);
    printContainerd(status["containerd"], output);
    printRegistries(status["registries"], output);
    printImages(status, output);
    printServices(status["services"], output);
    const auto& reconcile = status["reconcile"];
    const std::string passes = text(reconcile["count"]);
    const std::string heals = text(reconcile["heals"]);
    std::cout << "\n"
              << paint(output, Colour::Dim,
                       passes + (passes == "1" ? " pass, " : " passes, ") + heals +
                           (heals == "1" ? " heal, last " : " heals, last ") +
                           text(reconcile["lastAt"]))
              << "\n";
}

}  // namespace nodemirror::cli
