#include "base/text.hpp"
#include "diagnose/workload_checks.hpp"

#include <algorithm>
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

}  // namespace

void unreachablePods(const ClusterObjects& objects, Findings& findings) {
    if (!objects.hasServices) return;
    std::set<std::string> told;
    for (const auto& pod : objects.pods) {
        if (pod.phase != "Running" || pod.hostNetwork || isSystem(pod.meta.space)) continue;
        if (pod.meta.ownerKind == "Job" || pod.meta.ownerKind == "Node") continue;
        const bool selected =
            std::any_of(objects.services.begin(), objects.services.end(), [&](const auto& service) {
                return service.meta.space == pod.meta.space &&
                       selects(service.selector, pod.meta.labels);
            });
        if (selected) continue;
        std::string workload = workloadOf(objects, pod.meta);
        if (workload.empty()) workload = "pod/" + pod.meta.name;
        if (!told.insert(pod.meta.space + "/" + workload).second) continue;
        std::vector<std::string> addresses;
        int port = 0;
        for (const auto& other : objects.pods) {
            if (other.meta.space != pod.meta.space || other.phase != "Running") continue;
            const std::string from = workloadOf(objects, other.meta);
            if (from == workload || other.meta.name == pod.meta.name) addresses.push_back(other.ip);
        }
        for (const auto& container : pod.containers)
            if (port == 0) port = container.port;
        const std::string number = port > 0 ? std::to_string(port) : "PORT";
        add(findings, Severity::Warning, "pods-without-service", pod.meta.space + "/" + workload,
            "its pods run at " + join(addresses, ", ") +
                ", and no Service selects them. A pod IP is reachable only inside the cluster, and "
                "changes with every restart",
            kubectl(pod.meta.space) + "expose " + workload + " --port=" + number +
                " --target-port=" + number +
                " --type=NodePort makes it reachable at every node's "
                "address (without --type only inside the cluster)");
    }
}

void emptyServices(const ClusterObjects& objects, Findings& findings) {
    // Without pods or endpoints in the input nothing is known of what is behind a Service.
    if (objects.pods.empty() && !objects.hasEndpoints) return;
    for (const auto& service : objects.services) {
        if (service.selector.empty() || service.type == "ExternalName") continue;
        size_t ready = 0;
        for (const auto& endpoints : objects.endpoints)
            if (endpoints.space == service.meta.space && endpoints.service == service.meta.name)
                ready += endpoints.ready;
        std::vector<std::string> matching;
        std::string ails;
        bool anyReady = false;
        for (const auto& pod : objects.pods) {
            if (pod.meta.space != service.meta.space || !selects(service.selector, pod.meta.labels))
                continue;
            matching.push_back(pod.meta.name);
            anyReady = anyReady || pod.ready;
            for (const auto& container : pod.containers)
                if (ails.empty() && !container.waiting.empty())
                    ails = pod.meta.name + " is in " + container.waiting;
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
