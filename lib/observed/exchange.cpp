#include "observed/exchange.hpp"

namespace nodemirror {

const char* faultName(Fault fault) {
    switch (fault) {
        case Fault::None: return "";
        case Fault::Dns: return "dns";
        case Fault::Refused: return "refused";
        case Fault::Unreachable: return "unreachable";
        case Fault::Reset: return "reset";
        case Fault::Hang: return "hang";
        case Fault::Authority: return "certificate-authority";
        case Fault::Expired: return "certificate-expired";
        case Fault::Name: return "certificate-name";
        case Fault::Tls: return "tls";
        case Fault::PlainHttp: return "plain-http";
        case Fault::Proxy: return "proxy";
        case Fault::ProxyUnknown: return "proxy-unknown";
        case Fault::Unparsed: return "unparsed";
        case Fault::Protocol: return "protocol";
        case Fault::Unauthorized: return "unauthorized";
        case Fault::Truncated: return "truncated";
        case Fault::DigestMismatch: return "digest-mismatch";
    }
    return "";
}

std::string statusLine(int status) {
    switch (status) {
        case 400: return "400 Bad Request";
        case 401: return "401 Unauthorized";
        case 403: return "403 Forbidden";
        case 404: return "404 Not Found";
        case 429: return "429 Too Many Requests";
        case 500: return "500 Internal Server Error";
        case 502: return "502 Bad Gateway";
        case 503: return "503 Service Unavailable";
        case 504: return "504 Gateway Timeout";
        default: return std::to_string(status);
    }
}

}  // namespace nodemirror
