#pragma once

#include "diagnose/node_facts.hpp"

#include <string>
#include <vector>

namespace nodemirror {

/// Something on the node that breaks pulls, or may.
struct Finding {
    enum class Severity {
        Critical,  ///< pulls fail, or pods do not start, because of it
        Warning,   ///< they may, or something is not used that somebody meant to be
        Note,
    };
    Severity severity = Severity::Warning;
    std::string code;     ///< stable, for scripts; man page nodemirrorctl(1) lists them
    std::string subject;  ///< the file, registry, host, image or unit
    std::string evidence;
    std::string remedy;
};

const char* severityName(Finding::Severity severity);

/// Every trap that is known and can be seen in the facts, the worst first.
std::vector<Finding> examineNode(const NodeFacts& facts);

}  // namespace nodemirror
