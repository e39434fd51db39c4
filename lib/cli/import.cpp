#include "cli/import.hpp"

#include "base/read_file.hpp"
#include "cli/run.hpp"
#include "desired/load.hpp"
#include "desired/parse.hpp"
#include "import/imported.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <iostream>

namespace nodemirror::cli {

namespace asio = boost::asio;

namespace {

constexpr size_t kLargest = 16U << 20;

struct Imported {
    std::vector<ImportedRegistry> registries;
    std::vector<std::string> notes;
    std::vector<std::string> unreadable;  ///< input that was to be read and could not be
};

/// certs.d and the legacy tables; what containerd really uses comes first, and wins.
void importContainerd(const NodeFacts& facts, Imported& out) {
    std::vector<ImportedRegistry> certs;
    for (const auto& reading : facts.registries)
        certs.push_back(importReading(reading, facts.certsDir, facts.version));
    std::vector<ImportedRegistry> legacy;
    bool usesCerts = true;
    if (facts.node.config.isKnown()) {
        legacy = importConfig(facts.node.config.value());
        usesCerts = !facts.node.config.value().configPath.empty();
    } else {
        out.notes.push_back("containerd's configuration was not read: " + facts.node.config.why());
        out.unreadable.push_back(facts.node.config.why());
    }
    if (!usesCerts && !certs.empty())
        out.notes.push_back("containerd has not read " + facts.certsDir +
                            " until now (config_path is not set): what comes from there is new");
    auto& first = usesCerts ? certs : legacy;
    auto& second = usesCerts ? legacy : certs;
    for (auto& registry : first) addImported(out.registries, std::move(registry), "certs.d");
    for (auto& registry : second)
        addImported(out.registries, std::move(registry),
                    usesCerts ? "the legacy mirrors of config.toml" : facts.certsDir);
}

void importK3sFiles(const std::vector<std::string>& paths, Imported& out) {
    for (const auto& path : paths) {
        struct stat status {};
        const auto usual = ImportArguments().k3s;
        const bool given = std::find(usual.begin(), usual.end(), path) == usual.end();
        if (::stat(path.c_str(), &status) != 0 && !given) continue;
        const auto text = readWholeFile(path, kLargest);
        const auto found =
            text ? importK3s(*text, path) : Result<std::vector<ImportedRegistry>>(text.error());
        if (!found) {
            out.notes.push_back(path + " is left out: " + found.error().text());
            out.unreadable.push_back(found.error().text());
            continue;
        }
        for (const auto& registry : *found) addImported(out.registries, registry, path);
    }
}

Task<int> run(asio::io_context& io, ImportArguments arguments, Output output) {
    NodeSurvey survey(io, arguments.survey);
    auto look = survey.look();
    const auto facts = co_await std::move(look);
    if (!facts) {
        complain(facts.error().text());
        co_return kUsage;
    }
    Imported imported;
    importContainerd(*facts, imported);
    importK3sFiles(arguments.k3s, imported);
    const SurveyOptions usual;
    if (arguments.survey.containerdConfig != usual.containerdConfig &&
        facts->node.config.isKnown() && !facts->node.config.value().exists)
        imported.unreadable.push_back("there is no " + arguments.survey.containerdConfig);
    struct stat status {};
    if (::stat(facts->certsDir.c_str(), &status) != 0 ? facts->certsDir != usual.certsDir
                                                      : !S_ISDIR(status.st_mode))
        imported.unreadable.push_back(facts->certsDir + " is no directory");
    const std::string yaml = writeDesired(imported.registries, imported.notes);
    const ParsedDesired parsed = parseDesired(yaml, readReferencedFile);
    if (output.format == Format::Json) {
        Document document;
        document["desired"] = yaml;
        document["valid"] = parsed.problems.empty();
        printDocument(output, document);
    } else {
        std::cout << yaml;
    }
    for (const auto& problem : parsed.problems)
        complain("line " + std::to_string(problem.line) + ": " + problem.key + " " +
                 problem.message);
    for (const auto& error : imported.unreadable) complain(error);
    if (!imported.unreadable.empty()) co_return kUsage;
    co_return parsed.problems.empty() ? kFine : kAnswerIsNo;
}

}  // namespace

int importNode(const ImportArguments& arguments, const Output& output) {
    return runCommand([&](asio::io_context& io) { return run(io, arguments, output); });
}

}  // namespace nodemirror::cli
