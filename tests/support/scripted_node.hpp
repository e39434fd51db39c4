#pragma once

#include "ports/units.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// A containerd that answers what the test says, for the tests of what a keeper decides.
class ScriptedContainerd : public Containerd {
  public:
    std::string versionText = "1.7.24";
    std::map<std::string, ObservedImage> images;
    std::string pullError;           ///< empty: pulls succeed
    std::vector<std::string> pulls;  ///< that were asked for
    int process = 100;
    std::optional<std::string> livePath;  ///< the config_path that CRI says it runs with
    bool slow = false;                    ///< CRI is loaded, and not ready yet
    bool refuses = false;                 ///< CRI does not load
    bool away = false;                    ///< CRI cannot be asked

    void bring(const std::string& name) {
        ObservedImage image;
        image.name = name;
        image.hasRecord = image.resolves = image.pinLabel = true;
        image.id = "sha256:" + name;
        images[name] = image;
    }

    Task<Result<std::string>> version() override {
        if (!process) co_return Error("ask", "containerd", "nobody listens");
        co_return versionText;
    }
    Task<Result<CriState>> criState() override {
        if (away) co_return Error("ask", "CRI", "nobody listens");
        CriState state;
        state.ready = process != 0 && !slow && !refuses;
        state.refused = process == 0 || refuses;  // so that nobody waits for it
        if (!state.ready)
            state.error = refuses ? "no such plugin" : "server is not initialized yet";
        LiveCriConfig live;
        if (livePath) live.configPath = *livePath;
        if (livePath) state.live = Seen<LiveCriConfig>::known(live);
        co_return state;
    }
    Task<Result<ObservedImage>> image(std::string name) override {
        const auto found = images.find(name);
        if (found != images.end()) co_return found->second;
        ObservedImage absent;
        absent.name = name;
        co_return absent;
    }
    Task<Result<void>> pull(std::string name, std::chrono::seconds) override {
        pulls.push_back(name);
        if (!pullError.empty()) co_return Error("pull", name, pullError);
        bring(name);
        co_return Result<void>();
    }
    Task<Result<void>> tag(std::string, std::string target, bool) override {
        bring(target);
        co_return Result<void>();
    }
    Task<Result<bool>> removeAlone(std::string) override { co_return false; }
    Task<Result<void>> pin(std::string) override { co_return Result<void>(); }
    int processId() override { return process; }
};

/// A systemd that knows one state for every unit.
class ScriptedUnits : public Units {
  public:
    std::optional<ObservedUnit> unit;      ///< nothing: it cannot be asked
    std::vector<std::string> restarts;     ///< that were asked for
    std::string result = "done";           ///< what they come to
    bool asked = true;                     ///< systemd takes the job
    ScriptedContainerd* serves = nullptr;  ///< by which the restart of containerd's unit is felt
    std::function<void()> onRestart;       ///< what they bring about besides

    Task<Result<ObservedUnit>> state(std::string name) override {
        if (!unit) co_return Error("ask systemd for", name, "D-Bus is away");
        co_return *unit;
    }
    Task<RestartAnswer> restart(std::string name) override {
        restarts.push_back(name);
        if (serves && name == "containerd.service" && result == "done") {
            const bool main = unit && unit->mainPid == serves->process;
            ++serves->process;
            if (main) unit->mainPid = serves->process;
        }
        if (onRestart) onRestart();
        using End = RestartAnswer::End;
        RestartAnswer answer;
        answer.end = result == "done" ? End::Done : result == "failed" ? End::Failed : End::Unclear;
        if (!asked) answer.end = End::NotAsked;
        answer.result = result;
        co_return answer;
    }
};

/// Runs a task, and whatever it began, to its end.
template <class T>
T finish(boost::asio::io_context& io, Task<T> task) {
    std::optional<T> out;
    const auto done = [&out](std::exception_ptr failure, T value) {
        if (failure) std::rethrow_exception(failure);
        out.emplace(std::move(value));
    };
    boost::asio::co_spawn(io, std::move(task), done);
    io.restart();
    io.run();
    return std::move(*out);
}

inline void finish(boost::asio::io_context& io, Task<void> task) {
    const auto done = [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    };
    boost::asio::co_spawn(io, std::move(task), done);
    io.restart();
    io.run();
}

}  // namespace nodemirror
