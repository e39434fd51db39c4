#include "probe/system_roots.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <cstdlib>

namespace nodemirror {

namespace {

struct BioFree {
    void operator()(BIO* bio) const { BIO_free(bio); }
};
struct X509Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
using Certificate = std::unique_ptr<X509, X509Free>;
using Roots = std::shared_ptr<const SystemRoots>;

/// Nothing asks for a passphrase on a terminal.
int noPassphrase(char*, int, int, void*) { return 0; }

Certificate nextCertificate(const Bio& bio) {
    return Certificate(PEM_read_bio_X509(bio.get(), nullptr, noPassphrase, nullptr));
}

/// Where a store has its roots (CRYPTO_get_ex_new_index(3)); freed with the store.
int rootsIndex() {
    static const int index = X509_STORE_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* roots, CRYPTO_EX_DATA*, int, long, void*) {
            delete static_cast<Roots*>(roots);
        });
    return index;
}

/// Called by X509_verify_cert for each step of a chain (X509_STORE_set_get_issuer(3)).
int issuerOf(X509** issuer, X509_STORE_CTX* context, X509* certificate) {
    X509_STORE* store = X509_STORE_CTX_get0_store(context);
    if (const auto* roots = static_cast<Roots*>(X509_STORE_get_ex_data(store, rootsIndex())))
        (*roots)->addFor(certificate, store);
    return X509_STORE_CTX_get1_issuer(issuer, context, certificate);
}

}  // namespace

SystemRoots::SystemRoots(std::string file) : file_(std::move(file)) {
    const Bio bio(BIO_new_file(file_.c_str(), "r"));
    for (long offset = 0, next = 0; bio; offset = next) {
        const Certificate certificate = nextCertificate(bio);
        next = BIO_tell(bio.get());
        if (certificate)
            offsets_.emplace(X509_subject_name_hash(certificate.get()), offset);
        else if (next <= offset || ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break;
        ERR_clear_error();
    }
    ERR_clear_error();
}

std::string SystemRoots::defaultFile() {
    const char* named = std::getenv(X509_get_default_cert_file_env());
    return named != nullptr ? named : X509_get_default_cert_file();
}

void SystemRoots::addFor(X509* certificate, X509_STORE* store) const {
    addNamed(X509_issuer_name_hash(certificate), store);
    addNamed(X509_subject_name_hash(certificate), store);
}

void SystemRoots::addNamed(unsigned long name, X509_STORE* store) const {
    const auto [begin, end] = offsets_.equal_range(name);
    if (begin == end) return;
    const Bio bio(BIO_new_file(file_.c_str(), "r"));
    for (auto found = begin; bio && found != end; ++found) {
        if (BIO_seek(bio.get(), static_cast<int>(found->second)) < 0) break;
        // One that it has is not added again. In a file that was changed meanwhile there may be
        // another: then that one is trusted from now on, as it will be when the file is read anew.
        if (const Certificate root = nextCertificate(bio)) X509_STORE_add_cert(store, root.get());
    }
    ERR_clear_error();
}

void useSystemRoots(X509_STORE* store, Roots roots) {
    X509_STORE_set_ex_data(store, rootsIndex(), new Roots(std::move(roots)));
    X509_STORE_set_get_issuer(store, issuerOf);
}

}  // namespace nodemirror
