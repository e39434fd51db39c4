#pragma once

#include <optional>

#include "desired/parse.hpp"
#include "desired/yaml_fields.hpp"

namespace nodemirror {

/// Reads one entry of a registry's `mirrors`. Nothing when its URL cannot be used; other problems
/// are recorded in `fields`.
std::optional<Mirror> parseMirror(YamlFields& fields, const Field& field,
                                  const FileReader& readFile);

}  // namespace nodemirror
