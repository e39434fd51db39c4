#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nodemirror {

/// What Go's url.Parse makes of a text, as far as containerd looks at it.
struct GoUrl {
    std::string scheme;
    std::string host;  ///< with the port, unescaped, without user information
    std::string path;  ///< unescaped
};

/// url.Parse; nothing where it returns an error. `strictBrackets`: what stands in [ ] must be an
/// IPv6 address (Go since 1.24.8 and 1.25.2, with which containerd 2.x is built).
std::optional<GoUrl> parseGoUrl(std::string_view text, bool strictBrackets);

/// path.Clean
std::string cleanPath(std::string_view path);
/// filepath.Join(base, path), or the path itself when it is absolute (makeAbsPath in hosts.go).
std::string absolutePath(std::string_view path, std::string_view base);

/// An endpoint of config.toml with the scheme that CRI gives it where it has none (addDefaultScheme
/// of image_pull.go): http for localhost.
std::string withDefaultScheme(const std::string& endpoint);

/// docker.IsLocalhost: localhost or a loopback address, with or without a port.
bool isLocalhost(std::string_view host);
/// The port that net.SplitHostPort gives; "" when there is none or the text is no host:port.
std::string portOf(std::string_view host);

}  // namespace nodemirror
