#include "base/text.hpp"
#include "diagnose/workload_checks.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace nodemirror::checks {

namespace {

using Severity = Finding::Severity;

bool isSystem(const std::string& space) { return space.rfind("kube-", 0) == 0; }

std::string selectorText(const Labels& selector) {
    std::vector<std::string> out;
    for (const auto& [key, value] : selector) out.push_back(key + "=" + value);
    return join(out, ",");
}

/// kubectl expose takes pods, Deployments and ReplicaSets.
std::string exposure(const Pod& pod, const std::string& workload, const std::string& port) {
    const std::string command = kubectl(pod.meta.space);
    if (pod.meta.ownerKind == "StatefulSet")
        return "create a Service for port " + port + " with the selector of its pods, which " +
               command + "get " + workload + " -o jsonpath={.spec.selector.matchLabels} tells";
    return command + "expose " + workload + " --port=" + port + " --target-port=" + port +
           " --type=NodePort makes it reachable at every node's address (without --type only "
           "inside the cluster)";
}

}  // namespace

void unreachablePods(const ClusterObjects& objects, Findings& findings) {
    if (!objects.hasServices) return;
    const Owners owners(objects);
    const auto workloadOf = [&owners](const Pod& pod) {
        const std::string owner = owners.workloadOf(pod.meta);
        return pod.meta.space + "/" + (owner.empty() ? "pod/" + pod.meta.name : owner);
    };
    std::map<std::string, std::vector<const KubernetesService*>> services;  // by namespace
    for (const auto& service : objects.services) services[service.meta.space].push_back(&service);
    std::map<std::string, std::vector<std::string>> addresses;  // by workload
    for (const auto& pod : objects.pods)
        if (pod.phase == "Running") addresses[workloadOf(pod)].push_back(pod.ip);
    std::set<std::string> told;
    for (const auto& pod : objects.pods) {
        if (pod.phase != "Running" || pod.hostNetwork || isSystem(pod.meta.space)) continue;
        // Agents on every node mostly serve nobody.
        if (pod.meta.ownerKind == "Job" || pod.meta.ownerKind == "Node" ||
            pod.meta.ownerKind == "DaemonSet")
            continue;
        const auto& near = services[pod.meta.space];
        const bool selected = std::any_of(near.begin(), near.end(), [&](const auto* service) {
            return selects(service->selector, pod.meta.labels);
        });
        const std::string workload = workloadOf(pod);
        if (selected || !told.insert(workload).second) continue;
        int port = 0;
        for (const auto& container : pod.containers)
            if (port == 0) port = container.port;
        const std::string number = port > 0 ? std::to_string(port) : "PORT";
        add(findings, Severity::Warning, "pods-without-service", workload,
            "its pods run at " + join(addresses[workload], ", ") +
                ", and no Service selects them. A pod IP is reachable only inside the cluster, and "
                "changes with every restart",
            exposure(pod, workload.substr(pod.meta.space.size() + 1), number));
    }
}

void emptyServices(const ClusterObjects& objects, Findings& findings) {
    // Without pods or endpoints in the input nothing is known of what is behind a Service.
    if (objects.pods.empty() && !objects.hasEndpoints) return;
    std::map<std::string, size_t> addresses;  // ready ones, by space/service
    for (const auto& endpoints : objects.endpoints)
        addresses[endpoints.space + "/" + endpoints.service] += endpoints.ready;
    std::map<std::string, std::vector<const Pod*>> podsIn;
    for (const auto& pod : objects.pods) podsIn[pod.meta.space].push_back(&pod);
    for (const auto& service : objects.services) {
        if (service.selector.empty() || service.type == "ExternalName") continue;
        const size_t ready = addresses[named(service.meta)];
        std::vector<std::string> matching;
        std::string ails;
        bool anyReady = false;
        for (const Pod* pod : podsIn[service.meta.space]) {
            if (!selects(service.selector, pod->meta.labels)) continue;
            matching.push_back(pod->meta.name);
            anyReady = anyReady || pod->ready;
            for (const auto& container : pod->containers)
                if (ails.empty() && !container.waiting.empty())
                    ails = pod->meta.name + " is in " + container.waiting;
        }
        if (ready > 0 || (!objects.hasEndpoints && anyReady)) continue;
        const std::string selector = selectorText(service.selector);
        const std::string command = kubectl(service.meta.space);
        if (matching.empty())
            add(findings, Severity::Warning, "service-without-endpoints", named(service.meta),
                "its selector " + selector + " matches no pod: connections to it are refused",
                command + "get pods --show-labels, then " + command + "set selector service/" +
                    service.meta.name + " KEY=VALUE to what the pods carry");
        else
            add(findings, Severity::Warning, "service-without-endpoints", named(service.meta),
                "none of the " + std::to_string(matching.size()) + " pods that " + selector +
                    " selects is ready" + (ails.empty() ? "" : " (" + ails + ")") +
                    ": connections to it are refused",
                command + "describe pod " + matching.front() +
                    " tells why it is not ready; the Service itself is right");
    }
}

}  // namespace nodemirror::checks
