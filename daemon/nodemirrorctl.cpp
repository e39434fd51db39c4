// The client: reads the command line and calls the command.

#include "base/text.hpp"
#include "cli/daemon_commands.hpp"
#include "cli/doctor.hpp"
#include "cli/explain.hpp"
#include "cli/import.hpp"
#include "cli/inspect.hpp"
#include "cli/validate.hpp"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <iostream>

namespace {

using namespace nodemirror::cli;

struct Options {
    std::string format = "text";
    std::string socket = "/run/nodemirrord/status.sock";
    bool watch = false;
    std::string file;
    std::string root;
    std::string containerd = "2.1";
    ExplainArguments explain;
    DoctorArguments doctor;
    ImportArguments import;
};

/// Options that stand before the command and behind it alike.
void addCommonOptions(CLI::App& app, Options& options) {
    app.add_option("-o,--output", options.format, "text, json or yaml")
        ->check(CLI::IsMember({"text", "json", "yaml"}))
        ->capture_default_str();
    app.add_option("--socket", options.socket, "The daemon's status socket")->capture_default_str();
}

/// Where the node's parts are, for commands that look at it themselves.
void addSurveyOptions(CLI::App& app, nodemirror::SurveyOptions& options) {
    app.add_option("--certs-dir", options.certsDir, "Where hosts.toml files are kept")
        ->capture_default_str();
    app.add_option("--containerd-socket", options.containerdSocket, "containerd's gRPC socket")
        ->capture_default_str();
    app.add_option("--containerd-config", options.containerdConfig, "containerd's config.toml")
        ->capture_default_str();
    app.add_option("--containerd-unit", options.containerdUnit, "containerd's systemd unit")
        ->capture_default_str();
    app.add_option("--kubelet-unit", options.kubeletUnit, "kubelet's systemd unit")
        ->capture_default_str();
    app.add_option("--containerd", options.assumedVersion,
                   "Judge as this version of containerd would act, instead of the running one");
}

void addCommands(CLI::App& app, Options& options) {
    addCommonOptions(app, options);
    app.require_subcommand(1);
    const auto command = [&](const char* name, const char* help) {
        auto* sub = app.add_subcommand(name, help);
        addCommonOptions(*sub, options);
        return sub;
    };
    command("status", "The node at a glance")
        ->add_flag("--watch,-w", options.watch, "Print it again every two seconds");
    command("plan", "What would change, and why");
    command("reconcile", "Do it now, wait, report (root only)");
    command("validate", "Check a desired-state file; needs no daemon")
        ->add_option("FILE", options.file, "The file, or - for standard input")
        ->required();
    auto* inspect =
        command("inspect", "What containerd makes of a certs.d directory; needs no daemon");
    inspect->add_option("DIR", options.root, "The directory, such as /etc/containerd/certs.d")
        ->required();
    inspect->add_option("--containerd", options.containerd, "As this version reads it")
        ->capture_default_str();
    inspect->footer("REGISTRY...: only these registries; all that have a directory otherwise");
    auto* explainCommand = command("explain", "Why images would, or would not, be pulled here");
    explainCommand->add_option("IMAGE", options.explain.images, "Images, as in a pod's spec")
        ->required();
    explainCommand
        ->add_option("--timeout", options.explain.timeout, "How long each answer is waited for")
        ->capture_default_str();
    explainCommand->add_option("--platform", options.explain.platform,
                               "os/architecture[/variant]; this machine's otherwise");
    explainCommand->add_flag("--full", options.explain.full,
                             "Read whole layers and compare their digests");
    addSurveyOptions(*explainCommand, options.explain.survey);
    auto* doctorCommand = command("doctor", "Everything known to break pulls on this node");
    doctorCommand
        ->add_option("--timeout", options.doctor.timeout, "How long each host is waited for")
        ->capture_default_str();
    addSurveyOptions(*doctorCommand, options.doctor.survey);
    auto* workload = doctorCommand->add_subcommand(
        "workload", "What keeps a cluster's workloads from running, from kubectl's JSON");
    workload
        ->add_option("FILE", options.doctor.workload,
                     "What kubectl get deployments,replicasets,pods,services,endpointslices,events "
                     "-A -o json prints, or - for standard input")
        ->required();
    addCommonOptions(*workload, options);
    addSurveyOptions(*workload, options.doctor.survey);
    auto* importCommand = command("import", "Print a desired state made from what the node has");
    importCommand
        ->add_option("--registries", options.import.k3s, "registries.yaml files of k3s or RKE2")
        ->capture_default_str();
    addSurveyOptions(*importCommand, options.import.survey);
    // As extras, since an option's value of the form [::1] would be taken apart.
    inspect->allow_extras();
}

bool isCommand(const CLI::App& app, const std::string& word) {
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
        if (command->get_name() == word) return true;
    return false;
}

int run(CLI::App& app, const Options& options) {
    const Output output = makeOutput(options.format);
    const std::string command = app.get_subcommands().front()->get_name();
    if (command == "status") return status(options.socket, options.watch, output);
    if (command == "plan") return plan(options.socket, output);
    if (command == "reconcile") return reconcile(options.socket, output);
    if (command == "validate") return validate(options.file, output);
    if (command == "doctor")
        return options.doctor.workload.empty() ? doctor(options.doctor, output)
                                               : doctorWorkload(options.doctor, output);
    if (command == "import") return importNode(options.import, output);
    if (command == "explain") return explain(options.explain, output);
    const auto registries = app.get_subcommand("inspect")->remaining();
    for (const auto& registry : registries) {
        if (registry.rfind('-', 0) != 0) continue;
        complain("unknown option " + registry + "; see nodemirrorctl inspect --help");
        return kUsage;
    }
    return inspect(options.root, registries, options.containerd, output);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Asks and tells about image pulls on this node", "nodemirrorctl"};
    app.set_version_flag("--version", std::string("nodemirrorctl ") + NODEMIRROR_VERSION);
    app.footer(
        "Exit status: 0 fine; 1 the answer is no; 2 wrong usage or unreadable input; "
        "3 the daemon cannot be reached.");
    Options options;
    addCommands(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const std::string word = argc > 1 ? argv[1] : "";
        if (!word.empty() && word.front() != '-' && !isCommand(app, word)) {
            complain("unknown command " + nodemirror::inQuotes(word) +
                     "; there are status, plan, reconcile, validate, inspect, explain, doctor and "
                     "import");
            return kUsage;
        }
        return app.exit(error) == 0 ? kFine : kUsage;
    }
    int code = kUsage;
    try {
        code = run(app, options);
    } catch (const std::exception& error) {
        complain(error.what());
    }
    std::cout << std::flush;
    if (!std::cout) {
        complain("cannot write the output");
        code = kUsage;
    }
    // A lookup of a name that hangs is not waited for.
    ::_exit(code);
}
