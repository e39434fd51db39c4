// Which certificates are trusted: those of the system's bundle, read when they are asked for, and
// those that the chain names.
#include "probe/tls_contexts.hpp"
#include "support/result_printer.hpp"
#include "support/temporary_directory.hpp"
#include "unit/pem_samples.hpp"

#include <catch2/catch.hpp>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cstdlib>

namespace {

using namespace nodemirror;

struct Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(SSL* end) const { SSL_free(end); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};

struct Party {
    std::unique_ptr<X509, Free> certificate;
    std::unique_ptr<EVP_PKEY, Free> key;
};

void extend(X509* certificate, const Party& issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer.certificate.get(), certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/// A certificate of that name, an authority's or not, signed by another or by itself.
Party issue(const char* name, bool authority, const Party* by = nullptr) {
    Party out{std::unique_ptr<X509, Free>(X509_new()),
              std::unique_ptr<EVP_PKEY, Free>(EVP_EC_gen("P-256"))};
    X509* certificate = out.certificate.get();
    X509_set_version(certificate, 2);
    static long serial = 0;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, out.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    const Party& issuer = by != nullptr ? *by : out;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
    extend(certificate, issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(certificate, issuer, NID_subject_key_identifier, "hash");
    extend(certificate, issuer, NID_authority_key_identifier, "keyid");
    X509_sign(certificate, issuer.key.get(), EVP_sha256());
    return out;
}

std::string pem(const Party& party) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), party.certificate.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<size_t>(size)};
}

bool trusts(const TlsContext& context, const Party& leaf, const Party* sent = nullptr) {
    const std::unique_ptr<X509_STORE_CTX, Free> check(X509_STORE_CTX_new());
    STACK_OF(X509)* chain = sk_X509_new_null();
    if (sent != nullptr) sk_X509_push(chain, sent->certificate.get());
    X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context->native_handle()),
                        leaf.certificate.get(), chain);
    const bool good = X509_verify_cert(check.get()) == 1;
    sk_X509_free(chain);
    return good;
}

struct Bundle {
    Bundle() { ::setenv("SSL_CERT_FILE", path.c_str(), 1); }
    ~Bundle() { ::unsetenv("SSL_CERT_FILE"); }
    void write(const std::string& text) const { directory.write("bundle.crt", text); }

    TemporaryDirectory directory;
    const std::string path = directory / "bundle.crt";
};

TlsContext contextOf(TlsContexts& contexts, const TlsSettings& settings = {}) {
    auto made = contexts.get(settings);
    REQUIRE(made);
    return *made;
}

}  // namespace

TEST_CASE("authorities of the system's bundle are trusted, and no others") {
    const Party first = issue("first", true);
    const Party renewed = issue("first", true);  // of the same name with another key
    const Party second = issue("second", true);
    const Party stranger = issue("stranger", true);
    Bundle bundle;
    bundle.write("# words\n" + pem(first) +
                 "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem(second) +
                 "# more words\n" + pem(renewed));
    TlsContexts contexts;
    const TlsContext context = contextOf(contexts);
    CHECK(trusts(context, issue("leaf", false, &first)));
    CHECK(trusts(context, issue("leaf", false, &renewed)));
    CHECK(trusts(context, issue("leaf", false, &second)));
    CHECK_FALSE(trusts(context, issue("leaf", false, &stranger)));
    CHECK_FALSE(trusts(context, issue("first", false)));
    const Party between = issue("between", true, &second);
    const Party leaf = issue("leaf", false, &between);
    CHECK_FALSE(trusts(context, leaf));
    CHECK(trusts(context, leaf, &between));
}

TEST_CASE("a certificate that is added to the bundle is trusted from then on") {
    const Party first = issue("first", true);
    const Party second = issue("second", true);
    Bundle bundle;
    bundle.write(pem(first));
    TlsContexts contexts;
    CHECK_FALSE(trusts(contextOf(contexts), issue("leaf", false, &second)));
    bundle.write(pem(first) + pem(second));
    CHECK(trusts(contextOf(contexts), issue("leaf", false, &second)));
    CHECK(trusts(contextOf(contexts), issue("leaf", false, &first)));
}

TEST_CASE("the chain's own certificates are trusted beside the bundle's, an intermediate too") {
    const Party root = issue("root", true);
    const Party between = issue("between", true, &root);
    const Party system = issue("system", true);
    Bundle bundle;
    bundle.write(pem(system));
    TlsContexts contexts;
    TlsSettings settings;
    settings.ca = {bundle.directory.write("ca.crt", pem(between))};
    const TlsContext context = contextOf(contexts, settings);
    CHECK(trusts(context, issue("leaf", false, &between)));
    CHECK(trusts(context, issue("leaf", false, &system)));
    CHECK_FALSE(trusts(context, issue("leaf", false, &root)));
}

TEST_CASE("a certificate without an end is not expired, and odd addresses are not read over") {
    const Party odd = issue("odd", false);
    X509* certificate = odd.certificate.get();
    REQUIRE(ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1);
    extend(certificate, odd, NID_subject_alt_name, "DER:3009870141870401020304");
    const CertificateFacts facts = certificateFacts(certificate);
    CHECK(facts.notAfter > std::chrono::system_clock::now() + std::chrono::hours(24 * 365 * 100));
    CHECK(facts.names == std::vector<std::string>{"an address of 1 bytes", "1.2.3.4"});
}

TEST_CASE("of the names of a certificate few are kept, however many there are") {
    const Party leaf = issue("leaf", false);
    std::string names = "DNS:" + std::string(4000, 'a');
    for (int i = 1; i < 5000; ++i) names += ",DNS:n" + std::to_string(i) + ".example";
    extend(leaf.certificate.get(), leaf, NID_subject_alt_name, names.c_str());
    const CertificateFacts facts = certificateFacts(leaf.certificate.get());
    CHECK(facts.nameCount == 5000);
    REQUIRE(facts.names.size() == 100);
    CHECK(facts.names[0].size() < 300);
    CHECK(facts.names[99] == "n99.example");
}

TEST_CASE("a certificate that is named again and again is read once, and many are too many") {
    const TemporaryDirectory directory;
    const auto roots = std::make_shared<SystemRoots>("/nonexistent");
    const std::string root = pem(issue("root", true));
    std::string large = root;
    large.append((1 << 20) - root.size(), '#');
    TlsSettings settings;
    settings.ca.assign(30'000, directory.write("ca.crt", large));
    CHECK(makeTlsContext(settings, roots));
    for (int i = 0; i < 4; ++i)
        settings.ca.push_back(directory.write("ca" + std::to_string(i) + ".crt", large));
    const auto made = makeTlsContext(settings, roots);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.error().text(), Catch::Contains("larger than"));
}

TEST_CASE("a FIFO in the place of a certificate is not waited for") {
    const TemporaryDirectory directory;
    const std::string fifo = directory / "ca.crt";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const auto roots = std::make_shared<SystemRoots>("/nonexistent");
    TlsSettings settings;
    settings.ca = {fifo};
    const auto made = makeTlsContext(settings, roots);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.error().text(), Catch::Contains("no regular file"));
    settings.ca = {"/dev/null"};
    CHECK_THAT(makeTlsContext(settings, roots).error().text(), Catch::Contains("no regular file"));
    settings.ca.clear();
    settings.client = {{fifo, fifo}};
    CHECK_FALSE(makeTlsContext(settings, roots));
    settings.client.clear();
    settings.ca = {directory.write("empty.crt", "words")};
    CHECK_FALSE(makeTlsContext(settings, roots));
}

namespace {

/// Whether a client comes to terms with a server that shows a further certificate beside its own.
bool shakesHands(const TlsContext& context, int version, const Party& leaf, X509* further) {
    const std::unique_ptr<SSL_CTX, Free> serving(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_max_proto_version(serving.get(), version);
    SSL_CTX_use_certificate(serving.get(), leaf.certificate.get());
    SSL_CTX_use_PrivateKey(serving.get(), leaf.key.get());
    SSL_CTX_add1_chain_cert(serving.get(), further);
    const std::unique_ptr<SSL, Free> server(SSL_new(serving.get()));
    const std::unique_ptr<SSL, Free> client(SSL_new(context->native_handle()));
    SSL_set_verify(client.get(), SSL_VERIFY_NONE, nullptr);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    BIO* one = nullptr;
    BIO* other = nullptr;
    constexpr size_t kRoom = 64 << 10;
    BIO_new_bio_pair(&one, kRoom, &other, kRoom);
    SSL_set_bio(client.get(), one, one);
    SSL_set_bio(server.get(), other, other);
    for (int turn = 0; turn < 5; ++turn) {
        SSL_do_handshake(client.get());
        SSL_do_handshake(server.get());
    }
    ERR_clear_error();
    return SSL_is_init_finished(client.get()) == 1 && SSL_is_init_finished(server.get()) == 1;
}

}  // namespace

TEST_CASE("certificates with a curve that is spelt out are refused before they are decoded") {
    const Party leaf = issue("leaf", false);
    const Party other = issue("other", true);
    const std::unique_ptr<BIO, Free> text(BIO_new_mem_buf(samples::kExplicitCurve, -1));
    const std::unique_ptr<X509, Free> spelt(
        PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
    REQUIRE(spelt);
    TlsContexts contexts;
    const TlsContext context = contextOf(contexts);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CHECK(shakesHands(context, version, leaf, other.certificate.get()));
        CHECK_FALSE(shakesHands(context, version, leaf, spelt.get()));
    }
    const TemporaryDirectory directory;
    TlsSettings settings;
    settings.client = {{directory.write("c.pem", pem(leaf) + samples::kExplicitCurve),
                        directory.write("k.pem", samples::kKey)}};
    const auto made = contexts.get(settings);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.error().text(), Catch::Contains("elliptic curve"));
}
