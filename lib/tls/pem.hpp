#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nodemirror {

struct OpenSslFree {
    void operator()(X509* certificate) const;
    void operator()(EVP_PKEY* key) const;
};
using Certificate = std::unique_ptr<X509, OpenSslFree>;
using PrivateKey = std::unique_ptr<EVP_PKEY, OpenSslFree>;

/// The certificates that Go's CertPool.AppendCertsFromPEM would take from the text: what stands in
/// blocks of other types, has headers or cannot be parsed is passed over.
std::vector<Certificate> certificatesIn(std::string_view pem);

/// The private key that Go's tls.X509KeyPair would take from the text: RSA, ECDSA or Ed25519, of
/// the first block that holds a key, without a passphrase. Null where there is none, and where it
/// is larger than 64 KiB. Decoding it costs little whatever it says: of others' files that matters
/// (an encrypted one names the rounds of its own derivation, and a DSA key any exponent).
PrivateKey privateKeyIn(std::string_view pem);

/// Empty when the text holds at least one PEM certificate and every certificate block in it can
/// be read; otherwise what is wrong. containerd fails every pull of a registry whose CA it cannot
/// load (1.6 to 2.x, ConfigureHosts).
std::string caProblem(std::string_view pem);

/// Whether anything in the text is what hasExplicitCurve tells of: OpenSSL must not get to it.
bool hasExplicitCurveIn(std::string_view pem);

/// How many blocks, of whatever type, the text begins. To decode one takes up to a millisecond (a
/// compressed point on some curves), and a file has thousands.
size_t pemBlockCount(std::string_view pem);

/// Whether Go's CertPool.AppendCertsFromPEM would take at least one certificate from the text.
bool holdsCertificate(std::string_view pem);

/// Empty when the certificate and the key are PEM and belong together (Go's tls.X509KeyPair).
std::string clientPairProblem(std::string_view certPem, std::string_view keyPem);

}  // namespace nodemirror
