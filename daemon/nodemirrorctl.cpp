#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/inspect.hpp"
#include "cli/validate.hpp"

int main(int argc, char** argv) {
    using namespace nodemirror::cli;
    CLI::App app{"Asks and tells about image pulls on this node", "nodemirrorctl"};
    std::string format = "text";
    std::string root, version = "2.1.9", file;
    std::vector<std::string> registries;
    auto* inspectCommand = app.add_subcommand("inspect", "x");
    inspectCommand->add_option("-o", format);
    inspectCommand->add_option("DIR", root)->required();
    inspectCommand->allow_extras();
    inspectCommand->add_option("--containerd", version);
    auto* validateCommand = app.add_subcommand("validate", "x");
    validateCommand->add_option("FILE", file)->required();
    CLI11_PARSE(app, argc, argv);
    if (*inspectCommand) registries = inspectCommand->remaining();
    if (*inspectCommand) return inspect(root, registries, version, makeOutput(format));
    return validate(file, makeOutput(format));
}
