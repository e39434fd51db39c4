// Which keys and certificates are taken from PEM files: those that Go takes.
#include "support/result_printer.hpp"
#include "tls/pem.hpp"
#include "unit/pem_samples.hpp"

#include <catch2/catch.hpp>
#include <openssl/dsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace {

using namespace nodemirror;

struct Free {
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, Free>;

template <class Write>
std::string pemBy(Write write) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    REQUIRE(write(bio.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<size_t>(size)};
}

std::string pkcs8(const PrivateKey& key) {
    return pemBy([&](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

std::string traditional(const PrivateKey& key) {
    return pemBy([&](BIO* bio) {
        return PEM_write_bio_PrivateKey_traditional(bio, key.get(), nullptr, nullptr, 0, nullptr,
                                                    nullptr);
    });
}

PrivateKey dsa() {
    const Context parameters(EVP_PKEY_CTX_new_id(EVP_PKEY_DSA, nullptr));
    EVP_PKEY* raw = nullptr;
    REQUIRE(EVP_PKEY_paramgen_init(parameters.get()) == 1);
    REQUIRE(EVP_PKEY_CTX_set_dsa_paramgen_bits(parameters.get(), 1024) == 1);
    REQUIRE(EVP_PKEY_paramgen(parameters.get(), &raw) == 1);
    const PrivateKey group(raw);
    const Context generator(EVP_PKEY_CTX_new(group.get(), nullptr));
    raw = nullptr;
    REQUIRE(EVP_PKEY_keygen_init(generator.get()) == 1);
    REQUIRE(EVP_PKEY_keygen(generator.get(), &raw) == 1);
    return PrivateKey(raw);
}

}  // namespace

TEST_CASE("keys of the kinds that Go takes are taken, in the forms that it takes") {
    const PrivateKey rsa(EVP_RSA_gen(2048));
    const PrivateKey ec(EVP_EC_gen("P-256"));
    const PrivateKey ed25519(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    for (const auto* key : {&rsa, &ec, &ed25519}) {
        const PrivateKey read = privateKeyIn("# words\n" + pkcs8(*key));
        REQUIRE(read);
        CHECK(EVP_PKEY_eq(read.get(), key->get()) == 1);
    }
    for (const auto* key : {&rsa, &ec}) {
        const PrivateKey read = privateKeyIn(samples::kCertificate + traditional(*key));
        REQUIRE(read);
        CHECK(EVP_PKEY_eq(read.get(), key->get()) == 1);
    }
}

TEST_CASE("keys that Go does not take are not worked out first") {
    CHECK_FALSE(privateKeyIn(""));
    CHECK_FALSE(privateKeyIn("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
    const PrivateKey ec(EVP_EC_gen("P-256"));
    const PrivateKey x25519(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
    CHECK_FALSE(privateKeyIn(pkcs8(x25519)));
    const std::string ofDsa = pkcs8(dsa());
    CHECK_FALSE(privateKeyIn(ofDsa));
    // The first key counts.
    CHECK_FALSE(privateKeyIn(ofDsa + pkcs8(ec)));
    SECTION("one with a passphrase, were it an empty one") {
        char none[] = "";
        CHECK_FALSE(privateKeyIn(pemBy([&](BIO* bio) {
            return PEM_write_bio_PKCS8PrivateKey(bio, ec.get(), EVP_aes_128_cbc(), none, 0, nullptr,
                                                 none);
        })));
        CHECK_FALSE(privateKeyIn(pemBy([&](BIO* bio) {
            unsigned char word[] = "word";
            return PEM_write_bio_PrivateKey_traditional(bio, ec.get(), EVP_aes_128_cbc(), word, 4,
                                                        nullptr, nullptr);
        })));
    }
}

TEST_CASE("certificates are those that Go's pool would take") {
    const std::string good = samples::kCertificate;
    const std::string begin = "-----BEGIN CERTIFICATE-----\n";
    const std::string broken = begin + "AAAA\n-----END CERTIFICATE-----\n";
    std::string withHeader = good;
    withHeader.replace(0, begin.size(), begin + "Proc-Type: 4,ENCRYPTED\n\n");
    CHECK(certificatesIn("# words\n" + good + broken + good).size() == 2);
    CHECK(certificatesIn(withHeader).empty());
    CHECK(caProblem(good).empty());
    CHECK(caProblem(good + withHeader).empty());
    CHECK_FALSE(caProblem(good + broken).empty());
    CHECK_FALSE(caProblem(withHeader).empty());
    CHECK(clientPairProblem(good, samples::kKey).empty());
    CHECK_FALSE(clientPairProblem(good, samples::kOtherKey).empty());
    CHECK_FALSE(clientPairProblem(samples::kKey, samples::kKey).empty());
}

TEST_CASE("a curve that is spelt out is not worked out") {
    CHECK(certificatesIn(samples::kExplicitCurve).empty());
    CHECK_FALSE(holdsCertificate(samples::kExplicitCurve));
    CHECK_FALSE(caProblem(samples::kExplicitCurve).empty());
    CHECK(holdsCertificate(std::string(samples::kExplicitCurve) + samples::kCertificate));
    for (const char* key : {samples::kExplicitCurveKey, samples::kExplicitCurvePkcs8}) {
        CHECK_FALSE(privateKeyIn(key));
        CHECK(hasExplicitCurveIn(key));
        CHECK_FALSE(clientPairProblem(samples::kExplicitCurve, key).empty());
    }
    CHECK_FALSE(hasExplicitCurveIn(std::string(samples::kCertificate) + samples::kKey));
}
