#pragma once

#include "cli/output.hpp"
#include "diagnose/doctor.hpp"

#include <vector>

namespace nodemirror::cli {

/// Findings as text for a person, and as a document.
void printFindings(const std::vector<Finding>& findings, const Output& output);
Document toDocument(const std::vector<Finding>& findings);

}  // namespace nodemirror::cli
