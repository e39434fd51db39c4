#pragma once

#include "cli/output.hpp"
#include "survey/node_survey.hpp"

#include <string>

namespace nodemirror::cli {

struct DoctorArguments {
    SurveyOptions survey;
    std::string timeout = "5s";  ///< how long each host is waited for
    std::string workload;        ///< a file of kubectl's JSON, or - for standard input
};

/// nodemirrorctl doctor: everything known to break pulls on this node, the worst first. Needs no
/// daemon. Answers 1 when there is a critical finding or a warning.
int doctor(const DoctorArguments& arguments, const Output& output);

/// nodemirrorctl doctor workload: what keeps the workloads of a cluster from running, told from
/// `kubectl get … -o json`. Answers 1 when something does.
int doctorWorkload(const DoctorArguments& arguments, const Output& output);

}  // namespace nodemirror::cli
