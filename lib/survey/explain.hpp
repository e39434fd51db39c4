#pragma once

#include "diagnose/chain_choice.hpp"
#include "diagnose/pull_verdict.hpp"
#include "trial/image_trial.hpp"

#include <boost/asio/io_context.hpp>

#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Why an image would, or would not, be pulled on this node.
struct Explanation {
    ChainChoice choice;
    ImageFindings findings;
    PullVerdict verdict;
    /// References that would be pulled now although this one is not, the best first.
    std::vector<std::string> alternatives;
};

struct ExplainOptions {
    Patience patience;
    Platform platform;
    bool full = false;  ///< read whole layers
};

/// Tries the image on the node of which `facts` tells. Where its repository is denied or missing,
/// the same repository is tried on Docker Hub's chain too, for mirrors of it are often taken for
/// registries of their own.
Task<Explanation> explainImage(boost::asio::io_context& io, Resolver& resolver,
                               const NodeFacts& facts, ImageReference reference,
                               ExplainOptions options);

}  // namespace nodemirror
