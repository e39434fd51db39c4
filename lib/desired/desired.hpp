#pragma once

#include "base/secret.hpp"
#include "base/time.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// scheme://host[:port][/path], already validated: lower-case http or https, no credentials, no
/// query, no fragment, no trailing slash.
struct Url {
    std::string scheme;
    std::string host;  ///< with the port if it was written
    std::string path;  ///< "" or begins with '/'

    std::string text() const { return scheme + "://" + host + path; }
    bool operator==(const Url&) const = default;
};

struct ClientPair {
    std::string cert;
    std::string key;
    bool operator==(const ClientPair&) const = default;
};

struct Mirror {
    Url url;
    std::vector<std::string> capabilities{"pull", "resolve"};  ///< sorted
    std::string repositoryPrefix;                              ///< no slashes at its ends
    std::vector<std::string> ca;                               ///< absolute paths
    std::optional<ClientPair> client;
    bool skipVerify = false;
    bool overridePath = false;
    std::map<std::string, std::vector<Secret>> headers;  ///< those of headerFiles included
    std::string dialTimeout;                             ///< as Go reads it; empty when not given
};

enum class Fallback { Upstream, None };

struct Registry {
    std::string name;  ///< host, host:port or _default
    Fallback fallback = Fallback::Upstream;
    std::optional<Url> server;
    std::vector<Mirror> mirrors;
    std::string canary;  ///< a normalised reference of this registry that proves a change; or empty
};

struct Pause {
    std::vector<std::string> sources;  ///< normalised image references
    std::vector<std::string> aliases;  ///< normalised image references
    bool pin = true;
};

struct Health {
    enum class Order {
        Declared,
        Health,   ///< a mirror that is down goes last
        Latency,  ///< besides, a clearly faster mirror goes first
    };
    Order order = Order::Declared;
    Duration interval = std::chrono::seconds(30);
    Duration timeout = std::chrono::seconds(2);
};

enum class ConfigPathPolicy { Manage, Check, Ignore };
enum class UnmanagedPolicy { Keep, Prune };

struct Service {
    std::string unit;
    bool restart = true;
};

struct Budget {
    int restarts = 3;  ///< of one unit
    Duration per = std::chrono::hours(1);
};

/// A larger hosts.toml is neither rendered nor judged: containerd's own readers take long for some
/// that are. What stands in the way of one is kept and given back up to files::kLargestHosts.
constexpr size_t kLargestHostsToml = 128U << 10;

/// What people want of the node, as their YAML says it.
struct Desired {
    std::vector<Registry> registries;  ///< in the order of the file
    std::optional<Pause> pause;
    std::vector<std::string> images;  ///< normalised image references
    Health health;
    ConfigPathPolicy configPath = ConfigPathPolicy::Manage;
    Service containerd{"containerd.service", true};
    Service kubelet{"kubelet.service", true};
    Budget budget;
    UnmanagedPolicy unmanaged = UnmanagedPolicy::Keep;

    const Registry* find(const std::string& name) const {
        for (const auto& registry : registries)
            if (registry.name == name) return &registry;
        return nullptr;
    }
};

/// One thing that is wrong with a desired-state file. Lines and columns count from 1; 0 means the
/// file as a whole.
struct Problem {
    int line = 0;
    int column = 0;
    std::string key;      ///< path of the key: registries."docker.io".mirrors[0].url
    std::string message;  ///< what is wrong and what would be right
    bool operator==(const Problem&) const = default;
};

}  // namespace nodemirror
