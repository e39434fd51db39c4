#include "tls/pem.hpp"

#include "tls/explicit_curve.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nodemirror {

namespace {

struct FreeBlock {
    void operator()(BIO* bio) const { BIO_free_all(bio); }
    void operator()(void* memory) const { OPENSSL_free(memory); }
    void operator()(PKCS8_PRIV_KEY_INFO* info) const { PKCS8_PRIV_KEY_INFO_free(info); }
};

/// One PEM block, decoded as far as to the bytes in it.
struct Block {
    std::string type;  ///< "CERTIFICATE"
    bool headers = false;
    std::string bytes;
};

/// Nothing where the text, from its first BEGIN line on, is no whole block.
std::optional<Block> decoded(std::string_view text) {
    const std::unique_ptr<BIO, FreeBlock> bio(
        BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    char* type = nullptr;
    char* headers = nullptr;
    unsigned char* bytes = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &type, &headers, &bytes, &size) != 1) return std::nullopt;
    const std::unique_ptr<void, FreeBlock> freeType(type);
    const std::unique_ptr<void, FreeBlock> freeHeaders(headers);
    const std::unique_ptr<void, FreeBlock> freeBytes(bytes);
    Block out;
    out.type = type;
    out.headers = *headers != '\0';
    out.bytes.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    return out;
}

Certificate parseCertificate(const std::string& der) {
    if (hasExplicitCurve(der)) return {};
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    return Certificate(d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
}

/// PKCS#8 is told from the others first: OpenSSL would take any algorithm for the one asked for,
/// and work it out, before it says no.
PrivateKey parseKey(const std::string& der) {
    if (hasExplicitCurve(der)) return {};
    const auto begin = reinterpret_cast<const unsigned char*>(der.data());
    const auto size = static_cast<long>(der.size());
    const unsigned char* bytes = begin;
    const std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreeBlock> info(
        d2i_PKCS8_PRIV_KEY_INFO(nullptr, &bytes, size));
    if (info) {
        const ASN1_OBJECT* algorithm = nullptr;
        const unsigned char* inner = nullptr;
        int length = 0;
        if (PKCS8_pkey_get0(&algorithm, &inner, &length, nullptr, info.get()) != 1) return {};
        // In BER it may have been in pieces.
        if (hasExplicitCurve({reinterpret_cast<const char*>(inner), static_cast<size_t>(length)}))
            return {};
        const int kind = OBJ_obj2nid(algorithm);
        // Those of x509.ParsePKCS8PrivateKey that tls takes.
        const bool taken =
            kind == NID_rsaEncryption || kind == NID_X9_62_id_ecPublicKey || kind == NID_ED25519;
        return PrivateKey(taken ? EVP_PKCS82PKEY(info.get()) : nullptr);
    }
    for (const int kind : {EVP_PKEY_RSA, EVP_PKEY_EC}) {
        bytes = begin;
        if (PrivateKey key(d2i_PrivateKey(kind, nullptr, &bytes, size)); key) return key;
    }
    return {};
}

struct Certificates {
    std::vector<Certificate> good;
    int bad = 0;
};

/// The parts of a text from each line that begins a PEM block to the next such line. Go finds a
/// good block behind a broken one, where OpenSSL would read the two as one.
std::vector<std::string_view> pemBlocks(std::string_view text) {
    static constexpr std::string_view kBegin = "-----BEGIN ";
    std::vector<size_t> starts;
    for (size_t at = text.find(kBegin); at != std::string_view::npos;
         at = text.find(kBegin, at + 1))
        if (at == 0 || text[at - 1] == '\n') starts.push_back(at);
    std::vector<std::string_view> blocks;
    for (size_t i = 0; i < starts.size(); ++i) {
        const size_t end = i + 1 < starts.size() ? starts[i + 1] : text.size();
        blocks.push_back(text.substr(starts[i], end - starts[i]));
    }
    return blocks;
}

/// Of the CERTIFICATE blocks; those of other types, or with headers, are passed over, as Go does.
Certificates readCertificates(std::string_view pem, size_t most = SIZE_MAX) {
    Certificates out;
    for (const auto text : pemBlocks(pem)) {
        if (out.good.size() >= most) break;
        static constexpr std::string_view kFirstLine = "-----BEGIN CERTIFICATE-----";
        if (text.substr(0, kFirstLine.size()) != kFirstLine) continue;
        const auto block = decoded(text);
        if (block && block->headers) continue;
        auto certificate = block ? parseCertificate(block->bytes) : nullptr;
        if (certificate)
            out.good.push_back(std::move(certificate));
        else
            ++out.bad;
    }
    ERR_clear_error();
    return out;
}

/// The first certificate that can be decoded, as tls.X509KeyPair takes it for the leaf.
Certificate leafIn(std::string_view pem) {
    for (const auto text : pemBlocks(pem)) {
        const auto block = decoded(text);
        if (block && block->type == "CERTIFICATE") return parseCertificate(block->bytes);
    }
    return {};
}

}  // namespace

void OpenSslFree::operator()(X509* certificate) const { X509_free(certificate); }
void OpenSslFree::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

std::vector<Certificate> certificatesIn(std::string_view pem) { return readCertificates(pem).good; }

PrivateKey privateKeyIn(std::string_view pem) {
    constexpr size_t kLargest = 64 << 10;
    PrivateKey out;
    for (const auto text : pemBlocks(pem)) {
        const auto block = decoded(text);
        if (!block || !block->type.ends_with("PRIVATE KEY")) continue;
        const std::string& der = block->bytes;
        if (block->type == "ENCRYPTED PRIVATE KEY" || block->headers || der.size() > kLargest)
            break;
        out = parseKey(der);
        break;
    }
    ERR_clear_error();
    return out;
}

std::string caProblem(std::string_view pem) {
    const Certificates found = readCertificates(pem);
    if (found.good.empty()) return "holds no PEM certificate (a block BEGIN CERTIFICATE is needed)";
    if (found.bad > 0) return "has a certificate block that cannot be read";
    return "";
}

bool hasExplicitCurveIn(std::string_view pem) {
    bool any = false;
    for (const auto text : pemBlocks(pem)) {
        const auto block = decoded(text);
        any = any || (block && hasExplicitCurve(block->bytes));
    }
    ERR_clear_error();
    return any;
}

bool holdsCertificate(std::string_view pem) { return !readCertificates(pem, 1).good.empty(); }

size_t pemBlockCount(std::string_view pem) { return pemBlocks(pem).size(); }

std::string clientPairProblem(std::string_view certPem, std::string_view keyPem) {
    const Certificate certificate = leafIn(certPem);
    if (!certificate) {
        ERR_clear_error();
        return "the certificate is no PEM certificate";
    }
    const PrivateKey key = privateKeyIn(keyPem);
    if (!key)
        return "the key is no PEM private key, or it has a passphrase, which containerd cannot "
               "give";
    const bool match = X509_check_private_key(certificate.get(), key.get()) == 1;
    ERR_clear_error();
    return match ? "" : "the key does not belong to the certificate";
}

}  // namespace nodemirror
