#pragma once

#include <string>
#include <string_view>

namespace nodemirror {

/// Empty when the text holds at least one PEM certificate and every certificate block in it can
/// be read; otherwise what is wrong. containerd fails every pull of a registry whose CA it cannot
/// load (1.6 to 2.x, ConfigureHosts).
std::string caProblem(std::string_view pem);

/// Whether Go's CertPool.AppendCertsFromPEM would take at least one certificate from the text.
bool holdsCertificate(std::string_view pem);

/// Empty when the certificate and the key are PEM and belong together (Go's tls.X509KeyPair).
std::string clientPairProblem(std::string_view certPem, std::string_view keyPem);

}  // namespace nodemirror
