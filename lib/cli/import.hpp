#pragma once

#include "cli/output.hpp"
#include "survey/node_survey.hpp"

#include <string>
#include <vector>

namespace nodemirror::cli {

struct ImportArguments {
    SurveyOptions survey;
    std::vector<std::string> k3s{"/etc/rancher/k3s/registries.yaml",
                                 "/etc/rancher/rke2/registries.yaml"};
};

/// nodemirrorctl import: prints a desired state made from what the node has. Answers 1 when what
/// it prints needs a hand before it is valid.
int importNode(const ImportArguments& arguments, const Output& output);

}  // namespace nodemirror::cli
