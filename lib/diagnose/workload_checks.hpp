#pragma once

#include "diagnose/checks.hpp"
#include "diagnose/cluster_objects.hpp"

#include <map>
#include <string>
#include <utility>

namespace nodemirror::checks {

/// namespace/name
std::string named(const ObjectMeta& meta);

/// The beginning of a kubectl command in a namespace.
std::string kubectl(const std::string& space);

/// Who made what.
class Owners {
  public:
    explicit Owners(const ClusterObjects& objects);
    /// The workload that a pod comes from, as kubectl names it; "" for a pod of its own.
    std::string workloadOf(const ObjectMeta& pod) const;

  private:
    std::map<std::pair<std::string, std::string>, const ReplicaSet*> sets_;  ///< by namespace, name
};

// check_rollout.cpp
void stuckRollout(const ClusterObjects& objects, const Deployment& deployment, Findings& findings);
/// ReplicaSets whose Deployment is gone: they keep running pods that nothing updates.
void orphanedSets(const ClusterObjects& objects, Findings& findings);

// check_service.cpp
/// Running pods that no Service selects, one finding a workload.
void unreachablePods(const ClusterObjects& objects, Findings& findings);
void emptyServices(const ClusterObjects& objects, Findings& findings);

}  // namespace nodemirror::checks
