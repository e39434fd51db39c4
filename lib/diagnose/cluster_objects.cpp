#include "diagnose/cluster_objects.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>

namespace nodemirror {

namespace {

using Json = nlohmann::json;

const Json kNothing;

/// The value at a path of keys; null where something on the way is missing or no object.
const Json& at(const Json& json, std::initializer_list<const char*> path) {
    const Json* here = &json;
    for (const char* key : path) {
        if (!here->is_object()) return kNothing;
        const auto found = here->find(key);
        if (found == here->end()) return kNothing;
        here = &*found;
    }
    return *here;
}

std::string text(const Json& json, std::initializer_list<const char*> path) {
    const Json& value = at(json, path);
    return value.is_string() ? value.get<std::string>() : "";
}

int number(const Json& json, std::initializer_list<const char*> path, int otherwise = 0) {
    const Json& value = at(json, path);
    if (!value.is_number_integer()) return otherwise;
    constexpr int64_t kMost = 1 << 30;
    return static_cast<int>(std::clamp<int64_t>(value.get<int64_t>(), -1, kMost));
}

bool flag(const Json& json, std::initializer_list<const char*> path) {
    const Json& value = at(json, path);
    return value.is_boolean() && value.get<bool>();
}

const Json& list(const Json& json, std::initializer_list<const char*> path) {
    const Json& value = at(json, path);
    static const Json empty = Json::array();
    return value.is_array() ? value : empty;
}

Labels labels(const Json& json, std::initializer_list<const char*> path) {
    Labels out;
    const Json& value = at(json, path);
    if (!value.is_object()) return out;
    for (const auto& [key, item] : value.items())
        if (item.is_string()) out[key] = item.get<std::string>();
    return out;
}

bool isName(const std::string& text) {
    const auto isPart = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == ':';
    };
    return !text.empty() && std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
           std::all_of(text.begin(), text.end(), isPart);
}

std::string name(const Json& json, std::initializer_list<const char*> path) {
    std::string out = text(json, path);
    return isName(out) ? out : "";
}

ObjectMeta meta(const Json& json) {
    ObjectMeta out;
    out.space = text(json, {"metadata", "namespace"});
    out.space = out.space.empty() ? "default" : isName(out.space) ? out.space : "";
    out.name = name(json, {"metadata", "name"});
    out.labels = labels(json, {"metadata", "labels"});
    out.revision = name(json, {"metadata", "annotations", "deployment.kubernetes.io/revision"});
    for (const auto& owner : list(json, {"metadata", "ownerReferences"})) {
        if (!flag(owner, {"controller"})) continue;
        out.ownerKind = text(owner, {"kind"});
        out.ownerName = name(owner, {"name"});
        if (out.ownerName.empty()) out.ownerKind.clear();
    }
    return out;
}

/// Whether it is called by what is no name.
bool isMisnamed(const Json& json) {
    const ObjectMeta read = meta(json);
    return read.space.empty() || (read.name.empty() && !text(json, {"metadata", "name"}).empty());
}

void readContainers(const Json& json, const char* specs, const char* statuses, Pod& out) {
    for (const auto& spec : list(json, {"spec", specs})) {
        PodContainer container;
        container.name = name(spec, {"name"});
        if (container.name.empty()) continue;
        container.image = text(spec, {"image"});
        for (const auto& port : list(spec, {"ports"}))
            if (container.port == 0) container.port = number(port, {"containerPort"});
        for (const auto& status : list(json, {"status", statuses})) {
            if (text(status, {"name"}) != container.name) continue;
            container.waiting = text(status, {"state", "waiting", "reason"});
            container.message = text(status, {"state", "waiting", "message"});
        }
        out.containers.push_back(std::move(container));
    }
}

Pod pod(const Json& json) {
    Pod out;
    out.meta = meta(json);
    out.phase = text(json, {"status", "phase"});
    out.ip = text(json, {"status", "podIP"});
    out.hostNetwork = flag(json, {"spec", "hostNetwork"});
    for (const auto& condition : list(json, {"status", "conditions"}))
        if (text(condition, {"type"}) == "Ready") out.ready = text(condition, {"status"}) == "True";
    readContainers(json, "initContainers", "initContainerStatuses", out);
    readContainers(json, "containers", "containerStatuses", out);
    return out;
}

ReplicaSet replicaSet(const Json& json) {
    ReplicaSet out;
    out.meta = meta(json);
    out.wanted = number(json, {"spec", "replicas"}, 1);
    out.ready = number(json, {"status", "readyReplicas"});
    for (const auto& container : list(json, {"spec", "template", "spec", "containers"}))
        out.images.push_back(text(container, {"image"}));
    return out;
}

Deployment deployment(const Json& json) {
    Deployment out;
    out.meta = meta(json);
    out.wanted = number(json, {"spec", "replicas"}, 1);
    out.updated = number(json, {"status", "updatedReplicas"});
    out.available = number(json, {"status", "availableReplicas"});
    out.paused = flag(json, {"spec", "paused"});
    for (const auto& condition : list(json, {"status", "conditions"})) {
        if (text(condition, {"type"}) != "Progressing") continue;
        out.deadlineExceeded = text(condition, {"reason"}) == "ProgressDeadlineExceeded";
        out.progress = text(condition, {"message"});
    }
    return out;
}

Endpoints endpoints(const Json& json) {
    Endpoints out;
    const ObjectMeta about = meta(json);
    out.space = about.space;
    const auto service = about.labels.find("kubernetes.io/service-name");
    out.service = service == about.labels.end() ? "" : service->second;
    for (const auto& endpoint : list(json, {"endpoints"})) {
        // An endpoint that does not say so is ready (EndpointConditions).
        const Json& ready = at(endpoint, {"conditions", "ready"});
        if (!ready.is_boolean() || ready.get<bool>())
            out.ready += list(endpoint, {"addresses"}).size();
    }
    return out;
}

ClusterEvent event(const Json& json) {
    ClusterEvent out;
    const char* about = at(json, {"involvedObject"}).is_object() ? "involvedObject" : "regarding";
    out.space = text(json, {about, "namespace"});
    out.kind = text(json, {about, "kind"});
    out.name = text(json, {about, "name"});
    out.reason = text(json, {"reason"});
    out.message = text(json, {"message"});
    if (out.message.empty()) out.message = text(json, {"note"});
    return out;
}

void readObject(const Json& json, ClusterObjects& out, int depth = 0) {
    constexpr int kDeepest = 4;  // an array of Lists
    const std::string kind = text(json, {"kind"});
    const bool hasItems = at(json, {"items"}).is_array();
    if (!hasItems && kind != "Event" && isMisnamed(json)) return;
    if (kind == "Pod") {
        out.pods.push_back(pod(json));
    } else if (kind == "ReplicaSet") {
        out.replicaSets.push_back(replicaSet(json));
    } else if (kind == "Deployment") {
        out.deployments.push_back(deployment(json));
    } else if (kind == "Service") {
        KubernetesService service;
        service.meta = meta(json);
        service.selector = labels(json, {"spec", "selector"});
        service.type = text(json, {"spec", "type"});
        out.hasServices = true;
        out.services.push_back(std::move(service));
    } else if (kind == "EndpointSlice") {
        out.hasEndpoints = true;
        out.endpoints.push_back(endpoints(json));
    } else if (kind == "Event") {
        out.events.push_back(event(json));
    } else if (hasItems && depth < kDeepest) {
        for (const auto& item : list(json, {"items"})) readObject(item, out, depth + 1);
    }
}

/// "line 3, column 7" of a byte of the text.
std::string placeOf(const std::string& text, size_t byte) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    const auto begin = std::find(std::make_reverse_iterator(end), text.rend(), '\n').base();
    return "line " + std::to_string(line) + ", column " + std::to_string(end - begin);
}

}  // namespace

Result<ClusterObjects> readClusterObjects(const std::string& input) {
    ClusterObjects out;
    const std::string remedy =
        "give what kubectl get deployments,replicasets,pods,services,endpointslices,events -A "
        "-o json prints";
    if (trim(input.substr(0, 4096)).empty())
        return Error("read", "kubectl's JSON", "it is empty", remedy);
    try {
        const Json json = Json::parse(input);
        if (json.is_array())
            for (const auto& item : json) readObject(item, out);
        else if (json.is_object())
            readObject(json, out);
        else
            return Error("read", "kubectl's JSON", "it is neither an object nor a list", remedy);
    } catch (const Json::parse_error& error) {
        return Error("read", "kubectl's JSON",
                     "it is no valid JSON at " + placeOf(input, error.byte), remedy);
    } catch (const Json::exception&) {
        return Error("read", "kubectl's JSON", "it has a number that is out of range", remedy);
    }
    return out;
}

bool selects(const Labels& selector, const Labels& labels) {
    if (selector.empty()) return false;
    return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
        const auto found = labels.find(wanted.first);
        return found != labels.end() && found->second == wanted.second;
    });
}

}  // namespace nodemirror
