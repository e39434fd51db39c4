#include "diagnose/workload.hpp"

#include "base/text.hpp"
#include "diagnose/workload_checks.hpp"

#include <algorithm>
#include <set>

namespace nodemirror {

namespace checks {

std::string named(const ObjectMeta& meta) { return meta.space + "/" + meta.name; }

std::string kubectl(const std::string& space) { return "kubectl -n " + space + " "; }

Owners::Owners(const ClusterObjects& objects) {
    for (const auto& set : objects.replicaSets) sets_[{set.meta.space, set.meta.name}] = &set;
}

std::string Owners::workloadOf(const ObjectMeta& pod) const {
    if (pod.ownerKind == "ReplicaSet") {
        const auto set = sets_.find({pod.space, pod.ownerName});
        if (set != sets_.end() && set->second->meta.ownerKind == "Deployment")
            return "deployment/" + set->second->meta.ownerName;
        return "replicaset/" + pod.ownerName;
    }
    if (pod.ownerKind == "DaemonSet" || pod.ownerKind == "StatefulSet" || pod.ownerKind == "Job")
        return lower(pod.ownerKind) + "/" + pod.ownerName;
    return "";
}

}  // namespace checks

namespace {

using Severity = Finding::Severity;
using checks::add;
using checks::Findings;
using checks::kubectl;

bool waitsForImage(const std::string& reason) {
    static const std::set<std::string> reasons{
        "ErrImagePull",      "ImagePullBackOff",    "InvalidImageName",         "ErrImageNeverPull",
        "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"};
    return reasons.count(reason) > 0;
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

std::vector<WaitingImage> waitingImages(const ClusterObjects& objects) {
    std::vector<WaitingImage> out;
    const checks::Owners owners(objects);
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
            waiting.workload = owners.workloadOf(pod.meta);
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
        checks::stuckRollout(objects, deployment, out.findings);
    checks::orphanedSets(objects, out.findings);
    checks::unreachablePods(objects, out.findings);
    checks::emptyServices(objects, out.findings);
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
