#include "diagnose/workload.hpp"

#include "base/text.hpp"
#include "diagnose/checks.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace nodemirror {

namespace {

using Severity = Finding::Severity;
using checks::add;
using checks::Findings;

std::string named(const ObjectMeta& meta) { return meta.space + "/" + meta.name; }

std::string kubectl(const std::string& space) { return "kubectl -n " + space + " "; }

bool waitsForImage(const std::string& reason) {
    static const std::set<std::string> reasons{
        "ErrImagePull",      "ImagePullBackOff",    "InvalidImageName",         "ErrImageNeverPull",
        "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"};
    return reasons.count(reason) > 0;
}

const ReplicaSet* findReplicaSet(const ClusterObjects& objects, const ObjectMeta& owned) {
    for (const auto& set : objects.replicaSets)
        if (set.meta.space == owned.space && set.meta.name == owned.ownerName) return &set;
    return nullptr;
}

/// Whether kubelet has begun to pull an image for this pod and has not said how it went on.
bool isPulling(const ClusterObjects& objects, const Pod& pod, const std::string& image) {
    bool pulling = false;
    for (const auto& event : objects.events) {
        if (event.kind != "Pod" || event.space != pod.meta.space || event.name != pod.meta.name ||
            event.message.find(image) == std::string::npos)
            continue;
        if (event.reason == "Pulling") pulling = true;
        if (event.reason == "Pulled" || event.reason == "Failed") return false;
    }
    return pulling;
}

/// The workload that a pod comes from, as kubectl names it; "" for a pod of its own.
std::string workloadOf(const ClusterObjects& objects, const ObjectMeta& pod) {
    if (pod.ownerKind == "ReplicaSet") {
        if (const ReplicaSet* set = findReplicaSet(objects, pod);
            set != nullptr && set->meta.ownerKind == "Deployment")
            return "deployment/" + set->meta.ownerName;
        return "replicaset/" + pod.ownerName;
    }
    if (pod.ownerKind == "DaemonSet" || pod.ownerKind == "StatefulSet" || pod.ownerKind == "Job")
        return lower(pod.ownerKind) + "/" + pod.ownerName;
    return "";
}

std::vector<WaitingImage> waitingImages(const ClusterObjects& objects) {
    std::vector<WaitingImage> out;
    for (const auto& pod : objects.pods)
        for (const auto& container : pod.containers) {
            const bool pulls = (container.waiting == "ContainerCreating" ||
                                container.waiting == "PodInitializing") &&
                               isPulling(objects, pod, container.image);
            const std::string reason = pulls ? kPulling : container.waiting;
            if (!pulls && !waitsForImage(reason)) continue;
            auto found = std::find_if(out.begin(), out.end(), [&](const WaitingImage& waiting) {
                return waiting.image == container.image && waiting.reason == reason;
            });
            if (found == out.end()) {
                WaitingImage fresh;
                fresh.image = container.image;
                fresh.reason = reason;
                out.push_back(std::move(fresh));
                found = out.end() - 1;
            }
            // The back-off's own message says nothing; an event or an ErrImagePull tells why.
            if (container.waiting == "ErrImagePull" || found->message.empty())
                found->message = container.message;
            WaitingContainer waiting;
            waiting.space = pod.meta.space;
            waiting.pod = pod.meta.name;
            waiting.container = container.name;
            waiting.workload = workloadOf(objects, pod.meta);
            found->containers.push_back(std::move(waiting));
        }
    for (auto& waiting : out)
        for (const auto& event : objects.events)
            if (event.reason == "Failed" && event.kind == "Pod" &&
                event.message.find(waiting.image) != std::string::npos &&
                event.message.find("Failed to pull") != std::string::npos)
                waiting.message = event.message;
    std::stable_sort(out.begin(), out.end(), [](const WaitingImage& a, const WaitingImage& b) {
        return a.containers.size() > b.containers.size();
    });
    return out;
}

std::string describe(const ReplicaSet& set) {
    return set.meta.name + " (revision " + (set.meta.revision.empty() ? "?" : set.meta.revision) +
           ", " + std::to_string(set.ready) + " of " + std::to_string(set.wanted) + " ready, " +
           join(set.images, " ") + ")";
}

long revisionOf(const ReplicaSet& set) {
    return std::strtol(set.meta.revision.c_str(), nullptr, 10);
}

/// The ReplicaSets of a Deployment, the current one (of the highest revision) first.
std::vector<const ReplicaSet*> setsOf(const ClusterObjects& objects, const Deployment& deployment) {
    std::vector<const ReplicaSet*> out;
    for (const auto& set : objects.replicaSets)
        if (set.meta.space == deployment.meta.space && set.meta.ownerKind == "Deployment" &&
            set.meta.ownerName == deployment.meta.name)
            out.push_back(&set);
    std::stable_sort(out.begin(), out.end(), [](const ReplicaSet* a, const ReplicaSet* b) {
        return revisionOf(*a) > revisionOf(*b);
    });
    return out;
}

/// Why the pods of a ReplicaSet do not run; "" when nothing is known.
std::string whatAilsPodsOf(const ClusterObjects& objects, const ReplicaSet& set) {
    for (const auto& pod : objects.pods) {
        if (pod.meta.space != set.meta.space || pod.meta.ownerName != set.meta.name) continue;
        for (const auto& container : pod.containers)
            if (!container.waiting.empty() && container.waiting != "ContainerCreating" &&
                container.waiting != "PodInitializing")
                return pod.meta.name + " is in " + container.waiting + " (" + container.image + ")";
    }
    return "";
}

void stuckRollout(const ClusterObjects& objects, const Deployment& deployment, Findings& findings) {
    const auto sets = setsOf(objects, deployment);
    if (sets.empty()) {
        if (deployment.deadlineExceeded)
            add(findings, Severity::Critical, "rollout-stuck", named(deployment.meta),
                "the rollout does not complete: " + deployment.progress +
                    "; no ReplicaSet of it is in the input",
                kubectl(deployment.meta.space) + "describe deployment/" + deployment.meta.name);
        return;
    }
    const ReplicaSet& current = *sets.front();
    const std::string ails = whatAilsPodsOf(objects, current);
    const bool incomplete = deployment.updated < deployment.wanted ||
                            current.ready < deployment.wanted ||
                            deployment.available < deployment.wanted;
    if (!deployment.deadlineExceeded && !(incomplete && !ails.empty())) return;
    std::vector<std::string> left;
    const ReplicaSet* good = nullptr;
    for (size_t i = 1; i < sets.size(); ++i) {
        if (sets[i]->wanted > 0 || sets[i]->ready > 0) left.push_back(describe(*sets[i]));
        if (good == nullptr && sets[i]->ready > 0) good = sets[i];
    }
    const size_t history = sets.size() - 1 - left.size();
    std::string evidence = "the rollout does not complete: current is " + describe(current);
    if (!ails.empty()) evidence += "; " + ails;
    if (deployment.deadlineExceeded && ails.empty()) evidence += "; " + deployment.progress;
    evidence += left.empty() ? "; no other ReplicaSet runs pods"
                             : "; left over from before it: " + join(left, ", ");
    if (history > 0)
        evidence += "; " + std::to_string(history) + (history == 1 ? " more has" : " more have") +
                    " no pods and " + (history == 1 ? "is" : "are") + " only its history";
    std::string remedy;
    const std::string name = "deployment/" + deployment.meta.name;
    const std::string command = kubectl(deployment.meta.space);
    if (good != nullptr)
        remedy = command + "rollout undo " + name + " --to-revision=" + good->meta.revision +
                 " goes back to what runs; or ";
    remedy += "correct the image (" + command + "set image " + name +
              " CONTAINER=IMAGE): the rollout then goes on and scales the others down by itself. "
              "Delete no ReplicaSet by hand: the Deployment owns them";
    if (deployment.paused)
        remedy = command + "rollout resume " + name + " (it is paused); then " + remedy;
    add(findings, Severity::Critical, "rollout-stuck", named(deployment.meta), evidence, remedy);
}

/// ReplicaSets whose Deployment is gone: they keep running pods that nothing updates.
void orphanedSets(const ClusterObjects& objects, Findings& findings) {
    for (const auto& set : objects.replicaSets) {
        bool ownerThere = set.meta.ownerKind != "Deployment";
        for (const auto& deployment : objects.deployments)
            ownerThere = ownerThere || (deployment.meta.space == set.meta.space &&
                                        deployment.meta.name == set.meta.ownerName);
        const bool none = set.meta.ownerKind.empty() && !set.meta.revision.empty();
        if ((ownerThere && !none) || set.wanted == 0) continue;
        if (!none && objects.deployments.empty()) continue;  // Deployments were not asked for
        add(findings, Severity::Warning, "replicaset-orphaned", named(set.meta),
            describe(set) + " was made by a Deployment" +
                (set.meta.ownerName.empty() ? "" : " (" + set.meta.ownerName + ")") +
                " that is gone: its pods run on and are never updated",
            "make sure that nothing needs them, then " + kubectl(set.meta.space) +
                "delete replicaset " + set.meta.name);
    }
}

bool isSystem(const std::string& space) { return space.rfind("kube-", 0) == 0; }

/// Running pods that no Service selects, one finding a workload.
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

std::string selectorText(const Labels& selector) {
    std::vector<std::string> out;
    for (const auto& [key, value] : selector) out.push_back(key + "=" + value);
    return join(out, ",");
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

/// Pods that do not even get a sandbox, for want of the pause image.
void sandboxEvents(const ClusterObjects& objects, Findings& findings) {
    std::set<std::string> pods;
    std::string message;
    for (const auto& event : objects.events) {
        if (event.reason != "FailedCreatePodSandBox" ||
            event.message.find("sandbox image") == std::string::npos)
            continue;
        pods.insert(event.space + "/" + event.name);
        message = event.message;
    }
    if (pods.empty()) return;
    add(findings, Severity::Critical, "sandbox-image-fails", *pods.begin(),
        std::to_string(pods.size()) + (pods.size() == 1 ? " pod gets" : " pods get") +
            " no sandbox: " + message,
        "on the node: nodemirrorctl doctor; nodemirrord keeps the pause image present under the "
        "name that the runtime asks for");
}

}  // namespace

WorkloadReport examineWorkload(const ClusterObjects& objects) {
    WorkloadReport out;
    out.pods = objects.pods.size();
    out.deployments = objects.deployments.size();
    out.images = waitingImages(objects);
    sandboxEvents(objects, out.findings);
    for (const auto& deployment : objects.deployments)
        stuckRollout(objects, deployment, out.findings);
    orphanedSets(objects, out.findings);
    unreachablePods(objects, out.findings);
    emptyServices(objects, out.findings);
    std::stable_sort(out.findings.begin(), out.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
    return out;
}

std::vector<std::string> setImageCommands(const WaitingImage& waiting, const std::string& image) {
    std::vector<std::string> out;
    for (const auto& container : waiting.containers) {
        const std::string target =
            container.workload.empty() ? "pod/" + container.pod : container.workload;
        std::string command = kubectl(container.space) + "set image " + target + " " +
                              container.container + "=" + image;
        if (std::find(out.begin(), out.end(), command) == out.end())
            out.push_back(std::move(command));
    }
    return out;
}

}  // namespace nodemirror
