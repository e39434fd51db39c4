#pragma once

#include "reconcile/node_keeper.hpp"
#include "support/keeper_world.hpp"
#include "support/scripted_node.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// What a test writes is acted on at once.
constexpr std::chrono::milliseconds kNoQuiet{0};

/// A scripted containerd and systemd, with a state directory.
struct Node {
    TemporaryDirectory root;
    boost::asio::io_context io;
    ScriptedContainerd containerd;
    ScriptedUnits units;
    StateDir state{root / "state"};

    Node() {
        spdlog::set_default_logger(
            std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::null_sink_mt>()));
        REQUIRE(state.ensure());
        ObservedUnit running;
        running.exists = true;
        running.activeState = "active";
        units.unit = running;
        units.serves = &containerd;
    }
};

/// A node whose containerd was started after its configuration, and reads certs.d.
struct RunningNode : Node {
    NodeKeeper::Paths paths;
    std::string config;
    std::unique_ptr<NodeKeeper> keeper;

    RunningNode() {
        paths.containerdConfig = root / "config.toml";
        paths.certsDir = root / "certs.d";
        config =
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"" +
            paths.certsDir + "\"\n";
        root.write("config.toml", config);
        units.unit->mainPid = containerd.processId();
        start();
        keeper = std::make_unique<NodeKeeper>(io, containerd, units, state, paths, kNoQuiet);
        keeper->start();
        keeper->setDesired(desire({"docker.io"}));
    }
    /// The processes of the units are started now.
    void start() {
        units.unit->started = std::chrono::steady_clock::now();
        units.unit->startedWall = std::chrono::system_clock::now();
    }
    std::vector<std::string> pass() {
        keeper->trigger();
        finish(io, keeper->settle(std::chrono::steady_clock::now()));
        std::vector<std::string> out;
        for (const auto& reason : keeper->view().reasons) out.push_back(reason.code);
        return out;
    }
};

inline bool has(const std::vector<std::string>& codes, const std::string& code) {
    return std::count(codes.begin(), codes.end(), code) > 0;
}

}  // namespace nodemirror
