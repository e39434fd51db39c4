#pragma once

#include <string_view>

namespace nodemirror {

/// Whether DER, or a message with certificates in it, spells out the parameters of an elliptic
/// curve instead of naming it: it has the type of their field then (RFC 3279, 2.3.5: fieldID).
/// OpenSSL works such a curve out as it decodes, which takes it a third of a second for a small
/// certificate that is made for that. Go refuses all of them (crypto/x509, parsePublicKey).
bool hasExplicitCurve(std::string_view der);

}  // namespace nodemirror
