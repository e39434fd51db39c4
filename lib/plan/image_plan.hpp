#pragma once

#include "desired/desired.hpp"
#include "observed/node.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// An image name that must be on the node.
struct RequiredImage {
    std::string name;                  ///< normalised
    std::vector<std::string> sources;  ///< other names to try, in order, when it cannot be pulled
    bool pause = false;
    /// containerd makes sandboxes of it; of every pause image where it is not known of which.
    bool sandbox = false;
    bool pin = false;
};

/// Make the name resolve.
struct EnsureImage {
    RequiredImage image;
    std::string reason;
};

/// Set the pin label that a later pull wiped, or that never was.
struct PinImage {
    std::string name;
    std::string reason;
};

struct ImagePlan {
    std::vector<EnsureImage> missing;
    std::vector<PinImage> pins;
};

/// The names that must be there: the runtime's own sandbox image (when known), the pause aliases,
/// and `images`.
std::vector<RequiredImage> requiredImages(const Desired& desired, const std::string& sandboxImage);

/// What is missing. A name that could not be looked up gives nothing.
ImagePlan planImages(const std::vector<RequiredImage>& required, const ObservedNode& node);

/// The sandbox image that the runtime asks for: what CRI says, else what its configuration says.
/// Normalised; empty when unknown.
std::string sandboxImageOf(const ObservedNode& node);

}  // namespace nodemirror
