#pragma once

#include "observed/image_findings.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// An answer in words for a person: "docker.m.daocloud.io has no such image (404)".
std::string describeAnswer(const RegistryAnswer& answer, const ApiError& apiError,
                           const std::string& host);

/// The same for what a host said of the reference.
std::string describeHost(const HostFinding& finding);

/// What would mend the failure of one host; "" where nothing is wrong with it.
std::string remedyFor(const HostFinding& host, const ImageReference& reference);

/// Where the image may be had although the pull of this reference fails: references that go to a
/// host of the chain, which has it, by that host's own name. Whether the node can pull them depends
/// on what it has for that name.
std::vector<ImageReference> directReferences(const ImageFindings& findings);

/// What `ctr images pull` would do with the reference, and why that says nothing about pods.
std::string ctrDifference(const ImageFindings& findings);

}  // namespace nodemirror
