#include "tls/pem.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <vector>

namespace nodemirror {

namespace {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T* pointer) const {
        Free(pointer);
    }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

Bio reader(std::string_view text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Answers a request for a passphrase with none, so that nothing ever asks on a terminal.
int noPassphrase(char*, int, int, void*) { return 0; }

Certificate nextCertificate(BIO* bio) {
    return Certificate(PEM_read_bio_X509(bio, nullptr, noPassphrase, nullptr));
}

struct Certificates {
    int good = 0;
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

/// Counts the CERTIFICATE blocks; blocks of other types are passed over, as Go does.
Certificates certificatesIn(std::string_view pem) {
    Certificates found;
    for (const auto block : pemBlocks(pem)) {
        static constexpr std::string_view kFirstLine = "-----BEGIN CERTIFICATE-----";
        if (block.substr(0, kFirstLine.size()) != kFirstLine) continue;
        const Bio bio = reader(block);
        ++(nextCertificate(bio.get()) ? found.good : found.bad);
    }
    ERR_clear_error();
    return found;
}

}  // namespace

std::string caProblem(std::string_view pem) {
    const Certificates found = certificatesIn(pem);
    if (found.good == 0) return "holds no PEM certificate (a block BEGIN CERTIFICATE is needed)";
    if (found.bad > 0) return "has a certificate block that cannot be read";
    return "";
}

bool holdsCertificate(std::string_view pem) { return certificatesIn(pem).good > 0; }

std::string clientPairProblem(std::string_view certPem, std::string_view keyPem) {
    ERR_clear_error();
    const Bio certBio = reader(certPem);
    const Certificate certificate = nextCertificate(certBio.get());
    if (!certificate) {
        ERR_clear_error();
        return "the certificate is no PEM certificate";
    }
    const Bio keyBio = reader(keyPem);
    const Key key(PEM_read_bio_PrivateKey(keyBio.get(), nullptr, noPassphrase, nullptr));
    if (!key) {
        ERR_clear_error();
        return "the key is no PEM private key, or it has a passphrase, which containerd cannot "
               "give";
    }
    const bool match = X509_check_private_key(certificate.get(), key.get()) == 1;
    ERR_clear_error();
    return match ? "" : "the key does not belong to the certificate";
}

}  // namespace nodemirror
