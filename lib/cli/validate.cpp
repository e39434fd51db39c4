#include "cli/validate.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "desired/load.hpp"
#include "desired/parse.hpp"
#include "hosts_toml/render.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>

namespace nodemirror::cli {

namespace {

void printProblem(const std::string& path, const Problem& problem, const Output& output) {
    std::string place = path;
    if (problem.line > 0)
        place += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
    std::cout << paint(output, Colour::Bold, place) << ": " << paint(output, Colour::Bad, "error: ")
              << (problem.key.empty() ? "" : oneLine(problem.key) + ": ")
              << oneLine(problem.message) << "\n";
}

/// What the daemon, which is root without capabilities, would find amiss with the file itself.
void warnOfAccess(const std::string& path) {
    struct stat status {};
    if (::geteuid() != 0 || ::stat(path.c_str(), &status) != 0) return;
    const auto read = readWholeFile(path, kLargestDesired, Writers::RootOnTheWayToo);
    std::string why = read ? "" : read.error().text();
    if (status.st_uid == 0 && (status.st_mode & 0400) == 0)
        why = "its mode does not let root read it; chmod u+r " + path;
    if (!why.empty()) complain("nodemirrord will not take it as it is: " + why);
}

}  // namespace

int validate(const std::string& path, const Output& output) {
    std::string text;
    if (path == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
        auto content = readWholeFile(path, kLargestDesired);
        if (!content) {
            complain(content.error().text());
            return kUsage;
        }
        text = std::move(*content);
        warnOfAccess(path);
    }
    ParsedDesired parsed = parseDesired(text, readReferencedFile);
    if (parsed.desired)
        for (const auto& registry : parsed.desired->registries)
            if (const auto rendered = renderHosts(registry); !rendered)
                parsed.problems.push_back({0, 0, registry.name, rendered.error().text()});

    const std::string name = path == "-" ? "<stdin>" : path;
    if (output.format == Format::Text) {
        for (const auto& problem : parsed.problems) printProblem(name, problem, output);
        const size_t count = parsed.desired ? parsed.desired->registries.size() : 0;
        if (parsed.problems.empty())
            std::cout << printable(name) << ": " << paint(output, Colour::Good, "valid") << ", "
                      << count << (count == 1 ? " registry\n" : " registries\n");
        else
            std::cout << parsed.problems.size()
                      << (parsed.problems.size() == 1 ? " error\n" : " errors\n");
    } else {
        Document errors = Document::array();
        for (const auto& problem : parsed.problems)
            errors.push_back({{"line", problem.line},
                              {"column", problem.column},
                              {"key", problem.key},
                              {"message", problem.message}});
        Document document;
        document["file"] = name;
        document["valid"] = parsed.problems.empty();
        document["errors"] = std::move(errors);
        printDocument(output, document);
    }
    return parsed.problems.empty() ? kFine : kAnswerIsNo;
}

}  // namespace nodemirror::cli
