#pragma once

#include "containerd_config/version.hpp"
#include "observed/image_findings.hpp"

#include <string>

namespace nodemirror {

/// What containerd says where a pull fails, as kubelet shows it: people search for these words.
/// Held against the real ones of 1.6.20, 1.7.24 and 2.1.9 (tests/node/test_explain.py). What no
/// look from outside can know is left out: local ports, Go's own resolver.

/// The error of a pull that fails at `step`, with the code that CRI gives it.
std::string kubeletError(const ImageFindings& findings, const std::string& step,
                         const std::string& error, const ContainerdVersion& version);

/// A piece whose body is broken.
std::string brokenPieceError(const PieceFinding& piece, const ContainerdVersion& version);

/// A piece that the host of an attempt does not give.
std::string refusedPieceError(const PieceFinding& piece, const RegistryAnswer& answer,
                              const ContainerdVersion& version);

/// An image that is of no use on this node.
std::string uselessImageError(const ImageFindings& findings, const ContainerdVersion& version);

}  // namespace nodemirror
