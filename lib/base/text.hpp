#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string lower(std::string_view text);
std::string trim(std::string_view text);

/// The length of the UTF-8 character (RFC 3629) at the beginning of the text; 0 where there is
/// none.
size_t utf8Length(std::string_view text);

bool isUtf8(std::string_view text);

/// The text in double quotes, with quotes, backslashes, control characters and bytes that are no
/// UTF-8 escaped: safe for a terminal and for key=value logs.
std::string inQuotes(std::string_view text);

/// The text as a string in double quotes that TOML, YAML and JSON read alike.
std::string quotedScalar(std::string_view text);

/// Replaces what would act on a terminal by '?', keeping newlines and tabs: control characters, C1
/// ones in UTF-8 among them, line separators and marks that change the direction of writing; and
/// bytes that are no UTF-8.
std::string printable(std::string_view text);

/// The same on one line: newlines and tabs become spaces. For whatever comes from outside, or it
/// could pass a line of its own for the program's.
std::string oneLine(std::string_view text);

/// The text cut to about `most` bytes, between two characters, with "…" for what is left out.
std::string shortened(std::string text, size_t most);

/// The text with the credentials of every URL in it (scheme://user:password@host) replaced.
std::string withoutCredentials(std::string_view text);

/// The text with the query of every URL in it replaced, for a redirect's may be a signature that
/// lets in whoever has it; but for containerd's own `ns=`.
std::string withoutQueries(std::string_view text);

/// The candidate nearest to `word` by edit distance, or "" when none is near enough to be a typo.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace nodemirror
