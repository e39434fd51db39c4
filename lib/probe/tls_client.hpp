#pragma once

#include "base/result.hpp"
#include "observed/exchange.hpp"
#include "probe/system_roots.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/verify_context.hpp>

#include <memory>
#include <string>
#include <vector>

namespace nodemirror {

/// How TLS is spoken to a host: what its chain entry says.
struct TlsSettings {
    bool skipVerify = false;
    std::vector<std::string> ca;                   ///< PEM files, beside the system's own
    std::vector<std::vector<std::string>> client;  ///< [cert with key] or [cert, key]

    bool operator==(const TlsSettings&) const = default;
};

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

/// A context like that of Go's crypto/tls with containerd's settings (ConfigureHosts): TLS 1.2 and
/// later, the system's roots and the given ones.
Result<TlsContext> makeTlsContext(const TlsSettings& settings,
                                  std::shared_ptr<const SystemRoots> roots);

/// What the check of a server's certificate found.
struct CertificateCheck {
    std::optional<CertificateFacts> facts;
    Fault fault = Fault::None;
    std::string error;  ///< in Go's words
};

/// Judges one step of OpenSSL's verification and says whether to go on. The verdict is Go's
/// (x509.Certificate.Verify): the leaf's dates first, then its name, then who signed it.
bool checkCertificate(bool trusted, boost::asio::ssl::verify_context& context,
                      const std::string& host, CertificateCheck& out);

/// The facts of a certificate.
CertificateFacts certificateFacts(X509* certificate);

}  // namespace nodemirror
