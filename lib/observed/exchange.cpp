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
        case Fault::Protocol: return "protocol";
        case Fault::Unauthorized: return "unauthorized";
        case Fault::Truncated: return "truncated";
        case Fault::DigestMismatch: return "digest-mismatch";
    }
    return "";
}

}  // namespace nodemirror
