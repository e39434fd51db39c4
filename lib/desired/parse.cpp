#include "desired/parse.hpp"

#include "base/text.hpp"
#include "desired/parse_mirror.hpp"
#include "desired/url.hpp"
#include "desired/yaml_fields.hpp"
#include "reference/image_reference.hpp"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/exceptions.h>

#include <algorithm>
#include <new>
#include <optional>
#include <set>

namespace nodemirror {

namespace {

constexpr char kApiVersion[] = "nodemirrord/v1";
constexpr size_t kMostMirrors = 500;

std::optional<Url> parseServer(YamlFields& fields, const Field& field) {
    const auto text = fields.string(field);
    if (!text) return std::nullopt;
    auto url = parseUrl(*text);
    if (!url) {
        fields.problem(field, url.error().reason());
        return std::nullopt;
    }
    if (url->host == "docker.io" || url->host == "index.docker.io") {
        fields.problem(field, inQuotes(url->host) +
                                  " does not serve images; Docker Hub's registry is "
                                  "https://registry-1.docker.io");
        return std::nullopt;
    }
    return std::move(*url);
}

void checkFallback(YamlFields& fields, const Field& field, std::map<std::string, Field>& keys,
                   const Registry& registry, bool mirrorsGiven) {
    if (registry.fallback == Fallback::None && keys.count("server"))
        fields.problem(keys["server"],
                       "does not go with fallback: none, which never leaves the mirrors; remove "
                       "one of the two");
    if (mirrorsGiven) return;
    if (registry.fallback == Fallback::None)
        fields.problem(field,
                       "has fallback: none and no mirrors, so that nothing could be pulled; "
                       "add a mirror");
    else if (!keys.count("server"))
        fields.problem(field, "needs mirrors (a list of url: …) or a server");
}

std::string parseCanary(YamlFields& fields, const Field& field, const std::string& registry) {
    const auto text = fields.string(field);
    if (!text) return "";
    const auto reference = parseImageReference(*text);
    if (!reference) {
        fields.problem(field, "is no image reference: " + reference.error().reason());
        return "";
    }
    if (registry != "_default" && reference->host != registry)
        fields.problem(field,
                       "must be an image of " + registry + ", and is one of " + reference->host);
    return reference->text();
}

/// At most what a registry's hosts.toml comes to, in bytes.
size_t largestRendering(const Registry& registry) {
    constexpr size_t kFile = 400;    ///< the words at its beginning
    constexpr size_t kMirror = 160;  ///< the words around a mirror's values
    constexpr size_t kHeaders = 20;
    size_t size = kFile;
    const auto add = [&size](const std::string& text) { size += quotedScalar(text).size() + 4; };
    for (const auto& mirror : registry.mirrors) {
        const size_t url = hostUrl(mirror).size();
        size += kMirror + url + mirror.dialTimeout.size();
        for (const auto& path : mirror.ca) add(path);
        if (mirror.client) {
            add(mirror.client->cert);
            add(mirror.client->key);
        }
        if (!mirror.headers.empty()) size += kHeaders + url;
        for (const auto& [name, values] : mirror.headers) {
            add(name);
            size += 4;
            for (const auto& value : values) add(value.reveal());
        }
    }
    return size;
}

Registry parseRegistry(YamlFields& fields, const std::string& name, const Field& field,
                       const Files& files) {
    Registry registry;
    registry.name = name;
    if (const std::string wrong = registryNameProblem(name); !wrong.empty())
        fields.problem(field, "the registry's name " + wrong);
    auto keys = fields.map(field, {"fallback", "server", "mirrors", "canary"});
    if (!field.node->isMap()) return registry;
    if (keys.count("fallback")) {
        const auto choice = fields.oneOf(keys["fallback"], {"upstream", "none"});
        if (choice) registry.fallback = *choice == 1 ? Fallback::None : Fallback::Upstream;
    }
    if (keys.count("server")) registry.server = parseServer(fields, keys["server"]);
    bool mirrorsGiven = false;
    if (keys.count("mirrors")) {
        std::set<std::string> seen;
        const auto items = fields.list(keys["mirrors"]);
        mirrorsGiven = !items.empty() || !keys["mirrors"].node->isSequence();
        if (items.size() > kMostMirrors)
            fields.problem(keys["mirrors"], "has more than 500 mirrors");
        for (const auto& item : items) {
            auto mirror = parseMirror(fields, item, files);
            if (!mirror) continue;
            if (const std::string url = hostUrl(*mirror); !seen.insert(url).second)
                fields.problem(
                    item, "the mirror " + url + " is listed twice; containerd would drop the file");
            registry.mirrors.push_back(std::move(*mirror));
        }
    }
    if (registry.mirrors.size() <= kMostMirrors && largestRendering(registry) > kLargestHostsToml)
        fields.problem(field, "has more in its mirrors than a hosts.toml of 128 KiB can hold");
    if (keys.count("canary")) registry.canary = parseCanary(fields, keys["canary"], name);
    checkFallback(fields, field, keys, registry, mirrorsGiven);
    return registry;
}

std::vector<Registry> parseRegistries(YamlFields& fields, const Field& field, const Files& files) {
    std::vector<Registry> out;
    for (const auto& [name, value] : fields.entries(field))
        out.push_back(parseRegistry(fields, name, value, files));
    return out;
}

std::vector<std::string> parseReferences(YamlFields& fields, const Field& field) {
    constexpr size_t kMost = 10'000;
    std::vector<std::string> out;
    std::set<std::string> known;
    const auto items = fields.list(field);
    if (items.size() > kMost) {
        fields.problem(field, "has more than 10000 images");
        return out;
    }
    for (const auto& item : items) {
        const auto text = fields.string(item);
        if (!text) continue;
        const auto reference = parseImageReference(*text);
        if (!reference) {
            fields.problem(item, "is no image reference: " + reference.error().reason() + "; " +
                                     reference.error().remedy());
        } else if (known.insert(reference->text()).second) {
            out.push_back(reference->text());
        }
    }
    return out;
}

Pause parsePause(YamlFields& fields, const Field& field) {
    Pause pause;
    auto keys = fields.map(field, {"sources", "aliases", "pin"});
    if (keys.count("sources")) pause.sources = parseReferences(fields, keys["sources"]);
    if (keys.count("aliases")) pause.aliases = parseReferences(fields, keys["aliases"]);
    if (keys.count("pin")) pause.pin = fields.boolean(keys["pin"]).value_or(true);
    return pause;
}

Health parseHealth(YamlFields& fields, const Field& field) {
    Health health;
    auto keys = fields.map(field, {"order", "interval", "timeout"});
    if (keys.count("order")) {
        const auto choice = fields.oneOf(keys["order"], {"declared", "health", "latency"});
        if (choice) health.order = static_cast<Health::Order>(*choice);
    }
    if (keys.count("interval"))
        health.interval = fields.duration(keys["interval"]).value_or(health.interval);
    if (keys.count("timeout"))
        health.timeout = fields.duration(keys["timeout"]).value_or(health.timeout);
    if (health.interval < std::chrono::seconds(1))
        fields.problem(field, "interval must be at least 1s");
    if (health.timeout < std::chrono::milliseconds(100))
        fields.problem(field, "timeout must be at least 100ms");
    if (health.timeout > health.interval)
        fields.problem(field, "timeout must not be longer than interval");
    return health;
}

/// VALID_CHARS of systemd's unit-name.c, with a suffix.
bool isUnitName(const std::string& name) {
    constexpr size_t kLongest = 255;
    return name.size() <= kLongest && name.find('.') != std::string::npos &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return c < 0x80 && (std::isalnum(c) != 0 ||
                                   std::string_view(":-_.\\@").find(static_cast<char>(c)) !=
                                       std::string_view::npos);
           });
}

Service parseService(YamlFields& fields, const Field& field, Service service) {
    auto keys = fields.map(field, {"unit", "restart"});
    if (keys.count("unit")) {
        const auto unit = fields.string(keys["unit"]);
        if (unit && !isUnitName(*unit))
            fields.problem(keys["unit"], "must be a unit's full name, such as containerd.service");
        service.unit = unit.value_or(service.unit);
    }
    if (keys.count("restart")) {
        const auto choice = fields.oneOf(keys["restart"], {"auto", "never"});
        service.restart = choice.value_or(0) == 0;
    }
    return service;
}

void parseServices(YamlFields& fields, const Field& field, Desired& desired) {
    auto keys = fields.map(field, {"containerd", "kubelet", "budget"});
    if (keys.count("containerd"))
        desired.containerd = parseService(fields, keys["containerd"], desired.containerd);
    if (keys.count("kubelet"))
        desired.kubelet = parseService(fields, keys["kubelet"], desired.kubelet);
    if (!keys.count("budget")) return;
    auto budget = fields.map(keys["budget"], {"restarts", "per"});
    if (budget.count("restarts"))
        desired.budget.restarts =
            fields.integer(budget["restarts"], 0, 1000).value_or(desired.budget.restarts);
    if (budget.count("per"))
        desired.budget.per = fields.duration(budget["per"]).value_or(desired.budget.per);
}

void checkApiVersion(YamlFields& fields, const Field& root, std::map<std::string, Field>& keys) {
    if (!keys.count("apiVersion")) {
        if (root.node->isMap() && !root.node->hasKey("apiVersion"))
            fields.problem(root, std::string("needs the line apiVersion: ") + kApiVersion);
        return;
    }
    const auto version = fields.string(keys["apiVersion"]);
    if (version && *version != kApiVersion)
        fields.problem(keys["apiVersion"],
                       "must be " + std::string(kApiVersion) + ", and is " + inQuotes(*version));
}

Desired parseRoot(YamlFields& fields, const Field& root, const Files& files) {
    Desired desired;
    auto keys = fields.map(root, {"apiVersion", "registries", "pause", "images", "health",
                                  "containerd", "services", "unmanaged"});
    checkApiVersion(fields, root, keys);
    if (keys.count("registries"))
        desired.registries = parseRegistries(fields, keys["registries"], files);
    if (keys.count("pause")) desired.pause = parsePause(fields, keys["pause"]);
    if (keys.count("images")) desired.images = parseReferences(fields, keys["images"]);
    if (keys.count("health")) desired.health = parseHealth(fields, keys["health"]);
    if (keys.count("containerd")) {
        auto inner = fields.map(keys["containerd"], {"configPath"});
        if (inner.count("configPath")) {
            const auto choice = fields.oneOf(inner["configPath"], {"manage", "check", "ignore"});
            desired.configPath = static_cast<ConfigPathPolicy>(choice.value_or(0));
        }
    }
    if (keys.count("services")) parseServices(fields, keys["services"], desired);
    if (keys.count("unmanaged")) {
        const auto choice = fields.oneOf(keys["unmanaged"], {"keep", "prune"});
        desired.unmanaged = static_cast<UnmanagedPolicy>(choice.value_or(0));
    }
    return desired;
}

}  // namespace

ParsedDesired parseDesired(const std::string& yaml, const FileReader& readFile,
                           Certificates certificates) {
    ParsedDesired out;
    YamlFields fields;
    if (yaml.size() > kLargestDesired) {
        fields.problemAt(YAML::Mark::null_mark(), "", "is larger than 16 MiB");
        out.problems = fields.takeProblems();
        return out;
    }
    try {
        const YamlTree tree(yaml);
        if (tree.second()) {
            fields.problemAt(*tree.second(), "", "holds more than one YAML document; keep one");
        } else if (tree.root() == nullptr || tree.root()->isNull()) {
            fields.problemAt(YAML::Mark::null_mark(), "",
                             std::string("is empty; begin with apiVersion: ") + kApiVersion);
        } else {
            const Field root{tree.root(), ""};
            // A CA is named by many mirrors, and is one file all the same.
            std::map<std::string, Result<std::string>> contents;
            const FileReader once = [&](const std::string& path) {
                const auto known = contents.find(path);
                if (known != contents.end()) return known->second;
                return contents.emplace(path, readFile(path)).first->second;
            };
            std::map<std::string, std::string> certificateProblems;
            const Files files{once, certificates == Certificates::Check, out.headerFiles,
                              certificateProblems};
            Desired desired = parseRoot(fields, root, files);
            if (fields.problems().empty()) out.desired = std::move(desired);
        }
    } catch (const YAML::DeepRecursion& error) {
        fields.problemAt(error.mark, "", "is nested deeper than any desired state");
    } catch (const TooManyValues& error) {
        fields.problemAt(error.mark, "", error.msg);
    } catch (const YAML::Exception& error) {
        const char* tab = isIndentedWithTab(yaml, error.mark)
                              ? "; the line is indented with a tab, and YAML takes spaces alone"
                              : "";
        fields.problemAt(error.mark, "", "is no valid YAML: " + error.msg + tab);
    } catch (const std::bad_alloc&) {
        fields.problemAt(YAML::Mark::null_mark(), "",
                         "takes more memory to read than there is: a bracket may be left open");
    } catch (const std::exception& error) {
        // No file that somebody writes may end the daemon, whatever was overlooked here.
        fields.problemAt(YAML::Mark::null_mark(), "",
                         std::string("cannot be read (") + error.what() + "); please report this");
    }
    out.problems = fields.takeProblems();
    return out;
}

}  // namespace nodemirror
