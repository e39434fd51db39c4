#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nodemirror {

/// An absolute http or https URL in the parts that a request needs.
struct HttpUrl {
    std::string scheme;     ///< http or https
    std::string authority;  ///< host[:port] as written, without credentials
    std::string target;     ///< path and query, at least "/"

    std::string text() const { return scheme + "://" + authority + target; }
    /// The host without port and without the brackets of an IPv6 address.
    std::string hostName() const;
    /// The port as written, or the scheme's own.
    std::string port() const;
    /// Whether two URLs lead to the same server.
    bool sameOrigin(const HttpUrl& other) const;
    /// Whether Go's http.Client sends credentials that were meant for `first` on to this one: to
    /// the same host at whatever port, and to what is below it (shouldCopyHeaderOnRedirect). Not
    /// from https to http, where Go does it too: no error of containerd's is worth that.
    bool keepsCredentialsOf(const HttpUrl& first) const;
};

/// Nothing where the text is no absolute http or https URL with a host. Credentials are dropped.
std::optional<HttpUrl> parseHttpUrl(std::string_view text);

/// A redirect's Location as seen from `base` (RFC 3986, 5.2, for what servers send): absolute, or
/// //authority, or an absolute path, or relative to the last segment.
std::optional<HttpUrl> resolveLocation(const HttpUrl& base, std::string_view location);

/// The target of a request line, or why there is none.
struct RequestTarget {
    std::string text;
    std::string error;  ///< as net/url says it
};

/// What Go's http.NewRequest makes of a path and query: what no URL may hold is escaped. It refuses
/// control characters (with a line end the target would be several lines) and broken escapes.
RequestTarget requestTarget(std::string_view target);

/// Escapes a query value as Go's url.QueryEscape does.
std::string queryEscape(std::string_view text);

/// The URL with these parameters added to its query, sorted by name as Go's url.Values.Encode does.
HttpUrl withQuery(HttpUrl url, std::vector<std::pair<std::string, std::string>> parameters);

}  // namespace nodemirror
