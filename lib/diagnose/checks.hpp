#pragma once

#include "diagnose/doctor.hpp"

#include <vector>

namespace nodemirror::checks {

/// One check looks at the facts and adds what it finds. What could not be looked at gives no
/// finding, but for the check whose subject it is.
using Findings = std::vector<Finding>;

void add(Findings& findings, Finding::Severity severity, std::string code, std::string subject,
         std::string evidence, std::string remedy);

// containerd itself and its configuration: check_config.cpp
void containerdReachable(const NodeFacts& facts, Findings& findings);
void criLoaded(const NodeFacts& facts, Findings& findings);
void configPath(const NodeFacts& facts, Findings& findings);
void configNotLoaded(const NodeFacts& facts, Findings& findings);
void legacyMirrors(const NodeFacts& facts, Findings& findings);
void misplacedRegistry(const NodeFacts& facts, Findings& findings);

// certs.d and the hosts that it leads to: check_hosts.cpp
void registryFiles(const NodeFacts& facts, Findings& findings);
void treeUnreadable(const NodeFacts& facts, Findings& findings);
void maskedDefault(const NodeFacts& facts, Findings& findings);
void hostsReachable(const NodeFacts& facts, Findings& findings);
void proxies(const NodeFacts& facts, Findings& findings);
void clockSkew(const NodeFacts& facts, Findings& findings);

// Pause image, kubelet and disk: check_node.cpp
void sandboxImage(const NodeFacts& facts, Findings& findings);
void kubelet(const NodeFacts& facts, Findings& findings);
void diskSpace(const NodeFacts& facts, Findings& findings);

}  // namespace nodemirror::checks
