#include "probe/tls_client.hpp"

#include "base/read_file.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "tls/explicit_curve.hpp"
#include "tls/pem.hpp"

#include <arpa/inet.h>
#include <boost/asio/buffer.hpp>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <set>

namespace nodemirror {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using boost::system::error_code;

namespace {

constexpr size_t kMostNames = 100;
constexpr size_t kLongestName = 255;  // RFC 1035, 2.3.4
constexpr char kPrefix[] = "tls: failed to verify certificate: x509: ";

struct NamesFree {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

/// "Test CA", or the whole name where there is no common name.
std::string commonName(const X509_NAME* name) {
    char buffer[256] = "";
    if (X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, buffer,
                                  sizeof buffer) <= 0)
        X509_NAME_oneline(name, buffer, sizeof buffer);
    return printable(buffer);
}

WallTime wallTime(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime();
    return wallTimeOf(std::chrono::seconds(::timegm(&parts)));  // RFC 5280 allows the year 9999
}

std::string rawText(const ASN1_STRING* text) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string addressText(const ASN1_OCTET_STRING* address) {
    char buffer[INET6_ADDRSTRLEN] = "";
    const int size = ASN1_STRING_length(address);
    if (size != 4 && size != 16) return "an address of " + std::to_string(size) + " bytes";
    const int family = size == 4 ? AF_INET : AF_INET6;
    ::inet_ntop(family, ASN1_STRING_get0_data(address), buffer, sizeof buffer);
    return buffer;
}

bool isAddress(const std::string& host) {
    unsigned char buffer[16];
    return ::inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

/// Only the names of the extension count, as in Go: a common name does not.
bool isFor(X509* certificate, const std::string& host) {
    if (isAddress(host)) return X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
    return X509_check_host(certificate, host.c_str(), host.size(),
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

std::string dateError(const CertificateFacts& facts) {
    const WallTime now = std::chrono::system_clock::now();
    const auto seconds = [](WallTime time) { return rfc3339(time).substr(0, 19) + "Z"; };
    if (now > facts.notAfter)
        return "certificate has expired or is not yet valid: current time " + seconds(now) +
               " is after " + seconds(facts.notAfter);
    if (now < facts.notBefore)
        return "certificate has expired or is not yet valid: current time " + seconds(now) +
               " is before " + seconds(facts.notBefore);
    return "";
}

std::string nameError(const CertificateFacts& facts, const std::string& host) {
    if (facts.nameCount > facts.names.size())  // Go since 1.24.11
        return "certificate is valid for " + std::to_string(facts.nameCount) +
               " names, but none matched " + host;
    if (facts.names.empty())
        return "certificate is not valid for any names, but wanted to match " + host;
    return "certificate is valid for " + join(facts.names, ", ") + ", not " + host;
}

void fail(CertificateCheck& out, Fault fault, const std::string& error) {
    if (out.fault != Fault::None) return;
    out.fault = fault;
    out.error = shortened(kPrefix + oneLine(error), 1000);
}

/// OpenSSL sorts its store anew with each certificate: many are slow.
constexpr size_t kLargestPem = 1 << 20;
constexpr size_t kLargestPems = 4 << 20;   ///< together
constexpr size_t kMostAuthorities = 1000;  ///< of one file
constexpr size_t kMostOfClient = 100;      ///< certificates, with those that its issuers have

/// Called with each message before it is parsed. No other hook comes before the keys in the
/// certificates are decoded, and none can refuse them: a message that begins so is none
/// (tls_get_message_body and tls_process_server_certificate of OpenSSL 3.0).
void refuseSlowCertificates(int written, int, int type, const void* bytes, size_t size, SSL*,
                            void*) {
    constexpr size_t kHeader = 4;  // RFC 8446, 4: the kind of the message, its length
    constexpr unsigned char kCertificate = 11;
    auto* message = static_cast<unsigned char*>(const_cast<void*>(bytes));
    if (written != 0 || type != SSL3_RT_HANDSHAKE || size < 2 * kHeader) return;
    if (message[0] != kCertificate) return;
    if (hasExplicitCurve({static_cast<const char*>(bytes), size}))
        std::fill(message + kHeader, message + 2 * kHeader, 0xff);
}

Error cannotLoad(const std::string& path, const std::string& why) {
    return {"load the certificate", path, why, "check the file"};
}

}  // namespace

Result<TlsContext> makeTlsContext(const TlsSettings& settings,
                                  std::shared_ptr<const SystemRoots> roots) {
    auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    // Debian's own level 2 refuses keys that Go takes.
    SSL_CTX_set_security_level(context->native_handle(), 1);
    // Connections are kept for long and used seldom: their buffers need not be.
    SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
    // Go has neither of them, and a server may ask for seconds of work with either.
    SSL_CTX_set_cipher_list(context->native_handle(), "DEFAULT:!DHE");
    SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
    // Of a chain's certificates each is worked out, and those on the way to a root are verified: no
    // real one is so large (Go took 64 KiB until 1.22) or so long.
    SSL_CTX_set_max_cert_list(context->native_handle(), 64 << 10);
    SSL_CTX_set_verify_depth(context->native_handle(), 10);
    SSL_CTX_set_msg_callback(context->native_handle(), refuseSlowCertificates);
    SSL_CTX_set_default_verify_dir(context->native_handle());
    X509_STORE* store = SSL_CTX_get_cert_store(context->native_handle());
    useSystemRoots(store, std::move(roots));
    // Go trusts whatever is among the roots, an intermediate certificate too.
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    error_code error;
    // Or OpenSSL would ask for a passphrase on the terminal.
    context->set_password_callback([](size_t, ssl::context::password_purpose) { return ""; },
                                   error);
    // Read here: OpenSSL would wait for whoever writes to a FIFO. Each file once: a list may name
    // one thousands of times.
    size_t left = kLargestPems;
    for (const auto& path : std::set<std::string>(settings.ca.begin(), settings.ca.end())) {
        const auto pem = readWholeFile(path, kLargestPem);
        if (!pem) return pem.error();
        if (pem->size() > left)
            return Error("load the certificate", path,
                         "those of this host are larger than 4 MiB together");
        left -= pem->size();
        if (pemBlockCount(*pem) > kMostAuthorities)
            return cannotLoad(path, "it holds more than 1000 certificates");
        const auto authorities = certificatesIn(*pem);
        if (authorities.empty()) return cannotLoad(path, "it holds no certificate");
        for (const auto& authority : authorities) X509_STORE_add_cert(store, authority.get());
    }
    for (const auto& pair : settings.client) {
        const std::string& key = pair.size() > 1 ? pair[1] : pair[0];
        const auto certificatePem = readWholeFile(pair[0], kLargestPem);
        if (!certificatePem) return certificatePem.error();
        const auto keyPem = readWholeFile(key, kLargestPem);
        if (!keyPem) return keyPem.error();
        if (pemBlockCount(*certificatePem) > kMostOfClient)
            return cannotLoad(pair[0], "it holds more than 100 certificates");
        if (hasExplicitCurveIn(*certificatePem))
            return cannotLoad(pair[0], "it has an elliptic curve that is not named");
        if (context->use_certificate_chain(asio::buffer(*certificatePem), error))
            return cannotLoad(pair[0], error.message());
        const auto privateKey = privateKeyIn(*keyPem);
        if (!privateKey) return cannotLoad(key, "it holds no private key without a passphrase");
        if (SSL_CTX_use_PrivateKey(context->native_handle(), privateKey.get()) != 1)
            return cannotLoad(key, "it is not the key of " + pair[0]);
    }
    context->set_verify_mode(settings.skipVerify ? ssl::verify_none : ssl::verify_peer);
    ERR_clear_error();
    return context;
}

CertificateFacts certificateFacts(X509* certificate) {
    CertificateFacts out;
    out.subject = commonName(X509_get_subject_name(certificate));
    out.issuer = commonName(X509_get_issuer_name(certificate));
    out.notBefore = wallTime(X509_get0_notBefore(certificate));
    out.notAfter = wallTime(X509_get0_notAfter(certificate));
    const std::unique_ptr<GENERAL_NAMES, NamesFree> names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
        if (++out.nameCount > kMostNames) continue;
        out.names.push_back(name->type == GEN_IPADD
                                ? addressText(name->d.iPAddress)
                                : shortened(printable(rawText(name->d.dNSName)), kLongestName));
    }
    return out;
}

bool checkCertificate(bool trusted, ssl::verify_context& context, const std::string& host,
                      CertificateCheck& out) {
    X509_STORE_CTX* store = context.native_handle();
    X509* leaf = X509_STORE_CTX_get0_cert(store);
    if (leaf == nullptr) return trusted;
    if (!out.facts) out.facts = certificateFacts(leaf);
    const std::string dates = dateError(*out.facts);
    if (!dates.empty()) {
        fail(out, Fault::Expired, dates);
    } else if (!isFor(leaf, host)) {
        fail(out, Fault::Name, nameError(*out.facts, host));
    } else if (!trusted) {
        const int code = X509_STORE_CTX_get_error(store);
        if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
            fail(out, Fault::Expired, "certificate has expired or is not yet valid");
        else
            fail(out, Fault::Authority,
                 std::string("certificate signed by unknown authority (") +
                     X509_verify_cert_error_string(code) + ")");
    }
    return out.fault == Fault::None;
}

}  // namespace nodemirror
