#pragma once

#include "reconcile/registry_keeper.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

inline std::shared_ptr<const Desired> desire(const std::vector<std::string>& names,
                                             const std::string& host = "mirror.example",
                                             UnmanagedPolicy unmanaged = UnmanagedPolicy::Keep) {
    auto desired = std::make_shared<Desired>();
    desired->unmanaged = unmanaged;
    for (const auto& name : names) {
        Registry registry;
        registry.name = name;
        registry.mirrors.resize(1);
        registry.mirrors[0].url = Url{"https", host, ""};
        desired->registries.push_back(registry);
    }
    return desired;
}

/// A keeper on its own tree and state, with a clock that the test moves.
struct World {
    TemporaryDirectory root;
    Now now{SteadyTime(std::chrono::hours(1)), WallTime(std::chrono::hours(500000))};
    std::unique_ptr<RegistryKeeper> keeper;

    World() {
        spdlog::set_default_logger(
            std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::null_sink_mt>()));
        restart();
    }
    /// As if the daemon had been started anew.
    void restart() {
        const StateDir state(root / "state");
        REQUIRE(state.ensure());
        keeper = std::make_unique<RegistryKeeper>(files::CertsTree(root / "certs.d"), state);
        REQUIRE(keeper->start());
    }
    size_t want(std::shared_ptr<const Desired> desired) {
        keeper->intents().setDesired(std::move(desired));
        return keeper->reconcileAll(now);
    }
    std::string hosts(const std::string& directory) const {
        return root.read("certs.d/" + directory + "/hosts.toml");
    }
    RegistryView view(const std::string& name) const {
        for (const auto& view : keeper->views())
            if (view.name == name) return view;
        return {};
    }
};

}  // namespace nodemirror
