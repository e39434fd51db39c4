#include "base/text.hpp"
#include "diagnose/workload_checks.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace nodemirror::checks {

namespace {

using Severity = Finding::Severity;

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

}  // namespace

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

void orphanedSets(const ClusterObjects& objects, Findings& findings) {
    std::set<std::string> deployments;
    for (const auto& deployment : objects.deployments) deployments.insert(named(deployment.meta));
    for (const auto& set : objects.replicaSets) {
        const bool ownerThere = set.meta.ownerKind != "Deployment" ||
                                deployments.count(set.meta.space + "/" + set.meta.ownerName) > 0;
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

}  // namespace nodemirror::checks
