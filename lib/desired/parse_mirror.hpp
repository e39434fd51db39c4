#pragma once

#include "desired/parse.hpp"
#include "desired/yaml_fields.hpp"

#include <optional>

namespace nodemirror {

/// The files that a desired state names.
struct Files {
    const FileReader& read;
    bool checkCertificates = true;
    std::map<std::string, std::string>& headerFiles;  ///< those that were read, by path
    /// Of the CAs and client pairs that were looked at, by their paths: many mirrors share one.
    std::map<std::string, std::string>& certificateProblems;
};

/// Reads one entry of a registry's `mirrors`. Nothing when its URL cannot be used; other problems
/// are recorded in `fields`.
std::optional<Mirror> parseMirror(YamlFields& fields, const Field& field, const Files& files);

}  // namespace nodemirror
