#pragma once

#include "diagnose/cluster_objects.hpp"
#include "diagnose/doctor.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// A container that waits for its image.
struct WaitingContainer {
    std::string space;
    std::string pod;
    std::string container;
    std::string workload;   ///< deployment/NAME or the like; empty where there is none
    bool isStatic = false;  ///< kubelet has it from a manifest on its node
};

/// The reason of a container that waits for a pull which kubelet has begun and not ended: it may
/// just take its time.
inline constexpr char kPulling[] = "Pulling";

/// Containers that wait for one image for one reason.
struct WaitingImage {
    std::string image;    ///< as the pods name it
    std::string reason;   ///< ErrImagePull, ImagePullBackOff, InvalidImageName, …, kPulling
    std::string message;  ///< kubelet's, of the first
    std::vector<WaitingContainer> containers;
};

struct WorkloadReport {
    std::vector<WaitingImage> images;  ///< those that most containers wait for first
    std::vector<Finding> findings;     ///< everything but the images, the worst first
    size_t pods = 0;                   ///< how many were looked at
    size_t deployments = 0;
};

/// Judges the objects of a cluster: images that are waited for, rollouts that are stuck, pods that
/// cannot be reached.
WorkloadReport examineWorkload(const ClusterObjects& objects);

/// What gives these containers another image, one line for each workload: a command where there is
/// one.
std::vector<std::string> setImageCommands(const WaitingImage& waiting, const std::string& image);

}  // namespace nodemirror
