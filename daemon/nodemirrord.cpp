// The daemon: flags, logging, and nothing else; lib/agent does the rest.

#include "agent/agent.hpp"
#include "base/text.hpp"
#include "cli/daemon_commands.hpp"

#include <CLI/CLI.hpp>
#include <malloc.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace {

using nodemirror::Agent;
using nodemirror::AgentOptions;

using nodemirror::cli::kAnswerIsNo;
using nodemirror::cli::kFine;
using nodemirror::cli::kUsage;

/// To the journal without a time and with its priority prefix; to a console with a time.
void setUpLogging(const std::string& level) {
    auto logger = spdlog::stderr_color_mt("nodemirrord");
    spdlog::set_default_logger(logger);
    if (std::getenv("JOURNAL_STREAM") != nullptr)
        logger->set_pattern("level=%l %v");
    else
        logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ level=%^%l%$ %v",
                            spdlog::pattern_time_type::utc);
    logger->set_level(spdlog::level::from_str(level));
    logger->flush_on(spdlog::level::trace);
}

/// Probes of mirrors that hang hold two connections each: the soft limit goes up to the hard one.
void allowManyDescriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int runOnce(Agent& agent, const nodemirror::cli::Output& output) {
    const nodemirror::Status status = agent.once();
    nodemirror::cli::printStatus(nodemirror::toDocument(status), output);
    return status.phase == nodemirror::Phase::Ready ? kFine : kAnswerIsNo;
}

int runDry(Agent& agent, const nodemirror::cli::Output& output) {
    const nodemirror::Document plan = agent.dryRun();
    nodemirror::cli::printPlan(plan, output);
    return plan["changes"].empty() && plan["reasons"].empty() ? kFine : kAnswerIsNo;
}

int run(const AgentOptions& options, bool once, bool dryRun,
        const nodemirror::cli::Output& output) {
    Agent agent(options);
    if (const auto started = agent.start(dryRun ? Agent::Mode::Look : Agent::Mode::Act); !started) {
        spdlog::critical("msg={}", nodemirror::inQuotes(started.error().text()));
        return kUsage;
    }
    if (dryRun) return runDry(agent, output);
    if (once) return runOnce(agent, output);
    if (const auto served = agent.serve(); !served) {
        spdlog::critical("msg={}", nodemirror::inQuotes(served.error().text()));
        return kUsage;
    }
    return kFine;
}

}  // namespace

int main(int argc, char** argv) {
    AgentOptions options;
    options.version = NODEMIRROR_VERSION;
    bool once = false;
    bool dryRun = false;
    std::string level = "info";
    std::string format = "text";
    CLI::App app{
        "Keeps this node able to pull images: holds containerd's registry configuration, "
        "pause image and services to a desired state",
        "nodemirrord"};
    app.set_version_flag("--version", std::string("nodemirrord ") + NODEMIRROR_VERSION);
    app.add_option("--desired", options.desired, "Desired state, a YAML file")
        ->capture_default_str();
    app.add_option("--certs-dir", options.certsDir, "Where hosts.toml files are kept")
        ->capture_default_str();
    app.add_option("--containerd-socket", options.containerdSocket, "containerd's gRPC socket")
        ->capture_default_str();
    app.add_option("--containerd-config", options.containerdConfig, "containerd's config.toml")
        ->capture_default_str();
    app.add_option("--state-dir", options.stateDir, "The daemon's own state")
        ->capture_default_str();
    app.add_option("--status-socket", options.statusSocket, "Where status is served")
        ->capture_default_str();
    app.add_flag("--once", once, "Reconcile one time, print the status and exit");
    app.add_flag("--dry-run", dryRun, "Print what would be changed and exit");
    app.add_option("-o,--output", format, "With --once or --dry-run: text, json or yaml")
        ->check(CLI::IsMember({"text", "json", "yaml"}))
        ->capture_default_str();
    app.add_option("--log-level", level, "debug, info, warn or error")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kFine : kUsage;
    }
    ::umask(0077);
    allowManyDescriptors();
    // The threads that look up names allocate little: an arena for each would only waste memory.
    ::mallopt(M_ARENA_MAX, 1);
    ::signal(SIGPIPE, SIG_IGN);
    setUpLogging(level);
    int code = kUsage;
    try {
        code = run(options, once, dryRun, nodemirror::cli::makeOutput(format));
    } catch (const std::exception& error) {
        spdlog::critical("msg={}", nodemirror::inQuotes(error.what()));
    }
    std::cout << std::flush;
    // A lookup of a name that hangs is not waited for.
    ::_exit(code);
}
