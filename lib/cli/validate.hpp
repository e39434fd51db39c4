#pragma once

#include "cli/output.hpp"

#include <string>

namespace nodemirror::cli {

/// nodemirrorctl validate: checks a desired-state file ("-" is standard input) and prints every
/// error with its place. Needs no daemon. Answers 1 when the file has errors, 2 when it cannot be
/// read.
int validate(const std::string& path, const Output& output);

}  // namespace nodemirror::cli
