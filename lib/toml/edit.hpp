#pragma once

#include "base/result.hpp"

#include <set>
#include <string>
#include <vector>

/// Edits of a TOML text that leave every other byte of it as it is. The result is read back; an
/// Error says what to do by hand where no safe edit was found.
namespace nodemirror::toml_text {

/// Sets `table`.`key` to a string, in the form in which the table is written.
Result<std::string> setString(const std::string& text, const std::vector<std::string>& table,
                              const std::string& key, const std::string& value);

/// Removes every expression at or below one of `paths`; comments stay.
Result<std::string> removePaths(const std::string& text,
                                const std::set<std::vector<std::string>>& paths);

/// The parts of a key with dots between them, in quotes where they need any.
std::string dottedKey(const std::vector<std::string>& path);

}  // namespace nodemirror::toml_text
