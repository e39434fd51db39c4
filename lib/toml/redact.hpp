#pragma once

#include <string>
#include <vector>

namespace nodemirror::toml_text {

/// The text with every value replaced whose key, or a table or key around it, contains one of the
/// words (in lower case), with the comments among them taken out. A text that is no TOML is not
/// shown at all, for nobody can say then where its secrets are.
std::string redactToml(const std::string& text, const std::vector<std::string>& words);

}  // namespace nodemirror::toml_text
