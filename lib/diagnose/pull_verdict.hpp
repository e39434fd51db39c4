#pragma once

#include "diagnose/resolution.hpp"
#include "observed/node.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Whether a pull works on this node, and why not.
struct PullVerdict {
    bool works = false;
    std::optional<size_t> host;  ///< the host that resolves the image
    std::string errorClass;      ///< a stable word for the failure; empty when it works
    std::string summary;         ///< one sentence for a person
    std::string kubeletError;    ///< what kubelet shows; empty when it works
    std::vector<std::string> remedies;
    std::vector<std::string> notes;  ///< worth knowing, either way
};

/// Judges what was found as containerd of that version would have acted on it.
PullVerdict judgePull(const ImageFindings& findings, const ContainerdVersion& version);

/// What stands above every image: a containerd that does not answer, or does so without CRI, pulls
/// nothing, whatever the mirrors have.
void judgeRuntime(const ObservedNode& node, const std::string& unit, PullVerdict& verdict);

}  // namespace nodemirror
