#pragma once

#include "base/time.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

/// Why a request got no answer, or its answer's body could not be had.
enum class Fault {
    None,
    Dns,            ///< the name has no address
    Refused,        ///< the connection was refused
    Unreachable,    ///< no route, or nobody took the connection in time
    Reset,          ///< the connection was reset or closed before an answer
    Hang,           ///< the connection was accepted and no answer came
    Authority,      ///< the certificate is signed by nobody that is trusted here
    Expired,        ///< the certificate has expired, or is not valid yet
    Name,           ///< the certificate is for another name
    Tls,            ///< another failure of the handshake
    PlainHttp,      ///< the server speaks plain HTTP where TLS was expected
    Proxy,          ///< the proxy refused
    ProxyUnknown,   ///< the proxy is of a kind that is not known here: nothing was asked
    Unparsed,       ///< HTTP of a form that Go takes, or may take, and the parser here does not
    Protocol,       ///< the answer is no HTTP, or a redirect leads nowhere
    Unauthorized,   ///< no token could be had, or a token was asked for that nobody can give
    Truncated,      ///< the body ended early
    DigestMismatch  ///< the body is another than its digest says
};

/// The word for a fault in JSON and in text; "" for None.
const char* faultName(Fault fault);

/// Whether nothing is known by it of what was asked, or was to be: containerd may fare better.
inline bool tellsNothing(Fault fault) {
    return fault == Fault::ProxyUnknown || fault == Fault::Unparsed;
}

/// A status as Go's net/http shows it: "404 Not Found".
std::string statusLine(int status);

/// What a server's certificate says, as far as people need it.
struct CertificateFacts {
    std::string subject;
    std::string issuer;
    /// Of the subjectAltName extension, to be shown: the first hundred, shortened. A certificate of
    /// 100 KB can have 50,000, and one is kept of every exchange.
    std::vector<std::string> names;
    size_t nameCount = 0;  ///< how many it has
    WallTime notBefore;
    WallTime notAfter;
};

/// One HTTP request and what became of it. Header values that were sent are not in it.
struct Exchange {
    std::string method;
    std::string url;                     ///< without credentials
    std::string purpose;                 ///< "", "token" or "redirect"
    std::string proxy;                   ///< host:port; empty when none was used
    std::vector<std::string> addresses;  ///< what the name resolved to; empty on a kept connection
    std::string connectedTo;
    std::string tls;  ///< the protocol version, such as TLSv1.3; empty without TLS
    std::optional<CertificateFacts> certificate;
    int status = 0;                              ///< 0 where no answer came
    std::map<std::string, std::string> headers;  ///< of the answer, with names in lower case
    std::string body;                            ///< its first bytes, up to what was asked for
    uint64_t bodySize = 0;                       ///< bytes of body that came
    bool bodyComplete = false;                   ///< the body was read to its end
    std::string bodySha256;                      ///< of a complete body
    Fault fault = Fault::None;
    std::string error;  ///< in the words of Go's net/http, which containerd repeats
    Duration dns{};
    Duration connect{};
    Duration handshake{};
    Duration answer{};  ///< from the request to the answer's head
    Duration total{};
};

/// What a request to a host of a chain came to, with the tokens and redirects on its way.
struct RegistryAnswer {
    std::vector<Exchange> exchanges;  ///< in order, never empty
    int status = 0;                   ///< of the answer that counts; 0 where none came
    Fault fault = Fault::None;
    std::string error;  ///< containerd's words where there is a fault

    const Exchange& last() const { return exchanges.back(); }
    bool ok() const { return fault == Fault::None && status >= 200 && status < 300; }
};

}  // namespace nodemirror
