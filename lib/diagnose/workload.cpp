#include "diagnose/workload.hpp"

#include "base/text.hpp"
#include "diagnose/workload_checks.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

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

/// What kubelet told of pulls, by the pod and the image that it was for.
class PullEvents {
  public:
    explicit PullEvents(const ClusterObjects& objects) {
        for (const auto& event : objects.events) {
            if (event.kind != "Pod") continue;
            Told& told = told_[{event.space, event.name, imageIn(event.message)}];
            if (event.reason == "Pulling") told.pulling = true;
            if (event.reason == "Pulled" || event.reason == "Failed") told.ended = true;
            if (event.reason == "Failed" &&
                event.message.find("Failed to pull") != std::string::npos)
                told.failure = event.message;
        }
    }
    /// Whether a pull has begun and nothing was said of how it went on.
    bool isPulling(const std::string& space, const std::string& pod,
                   const std::string& image) const {
        const Told* told = find(space, pod, image);
        return told != nullptr && told->pulling && !told->ended;
    }
    /// The message of a pull that failed; empty where there is none.
    std::string failure(const std::string& space, const std::string& pod,
                        const std::string& image) const {
        const Told* told = find(space, pod, image);
        return told == nullptr ? "" : told->failure;
    }

  private:
    struct Told {
        bool pulling = false;
        bool ended = false;
        std::string failure;
    };
    using Key = std::tuple<std::string, std::string, std::string>;

    /// kubelet puts the image in quotes: Pulling image "nginx:1".
    static std::string imageIn(const std::string& message) {
        const size_t begin = message.find('"');
        const size_t end = begin == std::string::npos ? begin : message.find('"', begin + 1);
        return end == std::string::npos ? "" : message.substr(begin + 1, end - begin - 1);
    }
    const Told* find(const std::string& space, const std::string& pod,
                     const std::string& image) const {
        const auto found = told_.find({space, pod, image});
        return found == told_.end() ? nullptr : &found->second;
    }

    std::map<Key, Told> told_;
};

std::vector<WaitingImage> waitingImages(const ClusterObjects& objects) {
    std::vector<WaitingImage> out;
    std::map<std::pair<std::string, std::string>, size_t> places;  // by image and reason
    const checks::Owners owners(objects);
    const PullEvents events(objects);
    for (const auto& pod : objects.pods)
        for (const auto& container : pod.containers) {
            const bool pulls = (container.waiting == "ContainerCreating" ||
                                container.waiting == "PodInitializing") &&
                               events.isPulling(pod.meta.space, pod.meta.name, container.image);
            const std::string reason = pulls ? kPulling : container.waiting;
            if (!pulls && !waitsForImage(reason)) continue;
            const auto [place, isNew] = places.try_emplace({container.image, reason}, out.size());
            if (isNew) {
                WaitingImage fresh;
                fresh.image = container.image;
                fresh.reason = reason;
                out.push_back(std::move(fresh));
            }
            WaitingImage& found = out[place->second];
            // The back-off's own message says nothing; an event or an ErrImagePull tells why.
            if (container.waiting == "ErrImagePull" || found.message.empty())
                found.message = container.message;
            WaitingContainer waiting;
            waiting.space = pod.meta.space;
            waiting.pod = pod.meta.name;
            waiting.container = container.name;
            waiting.workload = owners.workloadOf(pod.meta);
            waiting.isStatic = pod.meta.ownerKind == "Node";
            found.containers.push_back(std::move(waiting));
        }
    for (auto& waiting : out)
        for (const auto& container : waiting.containers)
            if (auto failure = events.failure(container.space, container.pod, waiting.image);
                !failure.empty())
                waiting.message = std::move(failure);
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
        // The template of a Job cannot be changed.
        if (target.starts_with("job/"))
            command = kubectl(container.space) + "delete " + target +
                      ", then create it again with " + container.container + "=" + image;
        if (container.isStatic)
            command = "on the node of pod " + container.pod +
                      ", in its manifest below "
                      "/etc/kubernetes/manifests: " +
                      container.container + "=" + image;
        if (std::find(out.begin(), out.end(), command) == out.end())
            out.push_back(std::move(command));
    }
    return out;
}

}  // namespace nodemirror
