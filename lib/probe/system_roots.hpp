#pragma once

#include <openssl/x509.h>

#include <memory>
#include <string>
#include <unordered_map>

namespace nodemirror {

/// The certificates of a bundle such as /etc/ssl/certs/ca-certificates.crt, of which only those are
/// kept in memory that a server's chain asks for: all of them are a megabyte, for each context.
class SystemRoots {
  public:
    /// Reads the bundle once, for where each certificate stands. One that cannot be read is passed
    /// over, as in Go (CertPool.AppendCertsFromPEM); without the file there are none.
    explicit SystemRoots(std::string file);

    /// The bundle of this system: OpenSSL's, or the one that SSL_CERT_FILE names.
    static std::string defaultFile();

    /// Puts into the store what the bundle has under the names of the certificate's issuer and of
    /// the certificate itself.
    void addFor(X509* certificate, X509_STORE* store) const;

  private:
    void addNamed(unsigned long name, X509_STORE* store) const;

    std::string file_;
    std::unordered_multimap<unsigned long, long> offsets_;  ///< by X509_NAME_hash of the subject
};

/// From now on, checks with this store ask the roots for what it lacks.
void useSystemRoots(X509_STORE* store, std::shared_ptr<const SystemRoots> roots);

}  // namespace nodemirror
