#pragma once

#include "cli/output.hpp"
#include "survey/explain.hpp"
#include "survey/node_survey.hpp"

#include <string>
#include <vector>

namespace nodemirror::cli {

struct ExplainArguments {
    SurveyOptions survey;
    std::vector<std::string> images;
    std::string timeout = "10s";  ///< how long each answer is waited for
    std::string platform;         ///< os/architecture[/variant]; "" for this machine's
    bool full = false;
};

/// nodemirrorctl explain: why images would, or would not, be pulled on this node, host by host.
/// Needs no daemon. Answers 1 when one of the pulls would fail.
int explain(const ExplainArguments& arguments, const Output& output);

/// An explanation as a document, and as text for a person.
Document toDocument(const Explanation& explanation, const NodeFacts& facts);
void printExplanation(const Explanation& explanation, const NodeFacts& facts, const Output& output);

/// What could go into a desired state or a shell as it stands: `kubectl set image` for an
/// alternative reference.
std::string setImageCommand(const std::string& reference);

}  // namespace nodemirror::cli
