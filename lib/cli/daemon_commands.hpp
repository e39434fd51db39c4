#pragma once

#include "cli/output.hpp"

#include <string>

namespace nodemirror::cli {

/// nodemirrorctl status: the node at a glance. Answers 1 while it is not Ready.
int status(const std::string& socket, bool watch, const Output& output);
/// nodemirrorctl plan: what would change. Answers 1 when something would.
int plan(const std::string& socket, const Output& output);
/// nodemirrorctl reconcile: do it now, wait, report. Answers 1 when the node is not Ready after it.
int reconcile(const std::string& socket, const Output& output);

/// The same as text or as a document, for a status that is at hand.
void printStatus(const Document& status, const Output& output);
void printPlan(const Document& plan, const Output& output);

}  // namespace nodemirror::cli
