#pragma once

#include "base/result.hpp"

#include <map>
#include <string>
#include <vector>

namespace nodemirror {

using Labels = std::map<std::string, std::string>;

/// What every Kubernetes object has, as far as it is looked at here.
struct ObjectMeta {
    std::string space;  ///< the namespace
    std::string name;
    Labels labels;
    std::string ownerKind;  ///< of the controlling owner; empty when there is none
    std::string ownerName;
    std::string revision;  ///< annotation deployment.kubernetes.io/revision
};

struct PodContainer {
    std::string name;
    std::string image;
    std::string waiting;  ///< reason of the waiting state: ImagePullBackOff, CrashLoopBackOff, …
    std::string message;
    int port = 0;  ///< its first containerPort; 0 when it names none
};

struct Pod {
    ObjectMeta meta;
    std::string phase;
    std::string ip;
    bool ready = false;
    bool hostNetwork = false;
    std::vector<PodContainer> containers;  ///< init containers first
};

struct ReplicaSet {
    ObjectMeta meta;
    int wanted = 0;
    int ready = 0;
    std::vector<std::string> images;
};

struct Deployment {
    ObjectMeta meta;
    int wanted = 0;
    int updated = 0;
    int available = 0;
    bool paused = false;
    bool deadlineExceeded = false;  ///< condition Progressing, ProgressDeadlineExceeded
    std::string progress;           ///< that condition's message
};

struct KubernetesService {
    ObjectMeta meta;
    Labels selector;
    std::string type;
};

/// The addresses behind a Service that take traffic.
struct Endpoints {
    std::string space;
    std::string service;
    size_t ready = 0;
};

struct ClusterEvent {
    std::string space;
    std::string kind;  ///< of the object it is about
    std::string name;
    std::string reason;
    std::string message;
};

struct ClusterObjects {
    std::vector<Pod> pods;
    std::vector<ReplicaSet> replicaSets;
    std::vector<Deployment> deployments;
    std::vector<KubernetesService> services;
    std::vector<Endpoints> endpoints;
    std::vector<ClusterEvent> events;
    bool hasServices = false;   ///< the input holds Services, so that their absence means something
    bool hasEndpoints = false;  ///< the same of EndpointSlices

    bool empty() const {
        return pods.empty() && replicaSets.empty() && deployments.empty() && services.empty() &&
               endpoints.empty() && events.empty();
    }
};

/// Reads the JSON of `kubectl get … -o json`: a List, one object, or an array of them. Objects of
/// other kinds, and fields of unexpected types, are passed over. An Error: it is no JSON, with the
/// place.
///
/// Commands are made of the names, for people to paste, and not all of them are checked by
/// Kubernetes (an owner's is free text, ValidateOwnerReferences): what could be anything to a shell
/// but a word, or an option to kubectl, is no name and counts as missing.
Result<ClusterObjects> readClusterObjects(const std::string& text);

/// Whether every label of the selector stands in `labels`. An empty selector selects nothing.
bool selects(const Labels& selector, const Labels& labels);

}  // namespace nodemirror
