#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

/// One WWW-Authenticate challenge (RFC 9110, 11.6.1).
struct Challenge {
    std::string scheme;                             ///< in lower case: bearer, basic, …
    std::map<std::string, std::string> parameters;  ///< names in lower case
};

/// Reads one WWW-Authenticate header as containerd does (remotes/docker/auth/parse.go,
/// parseValueAndParams): one challenge a header.
Challenge parseChallenge(std::string_view header);

/// Whether a client can do something with the challenge: Basic, or Bearer with a realm that is a
/// URL.
bool usableChallenge(const Challenge& challenge);

}  // namespace nodemirror
