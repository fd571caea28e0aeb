/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys as administrators write them: what is taken, what is refused with a sentence, JWKs and
 * sets of them.
 */
#include <openssl/core_names.h>
#include <openssl/x509.h>

#include "jwt_verdict.h"

static rs_jwt_key_t *made;

static const char *create(const char *alg, const char *material)
{
    const char *why = rs_jwt_key_create(&made, pool, alg, "HS256", NULL, material,
                                        material ? strlen(material) : 0);

    if ((why == NULL) != (made != NULL)) {
        return "key and sentence do not go together";
    }
    return why;
}

/* The sentence says this, and shows no part of the material. */
static void refused(const char *why, const char *says, const char *material, const char *name)
{
    ok(why && strstr(why, says) && !echoes(why, material), "%s", name);
    if (!why || !strstr(why, says)) {
        printf("#      got: %s\n# expected: ... %s ...\n", why ? why : "(accepted)", says);
    }
}

static void test_secrets(void)
{
    static const char *const published[] = {
        "your-secret-key-change-in-production",
        "Your-Secret-Key-Change-In-Production-please",
        "super-secret-jwt-token-with-at-least-32-characters-long",
        "!ChangeThisMercureHubJWTSecretKey!",
        "a-string-secret-at-least-256-bits-long",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "0000changeme0000changeme0000changeme",
    };
    static const struct {
        const char *alg;
        int len;
    } least[] = {{"HS256", 32}, {"HS384", 48}, {"HS512", 64}};
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(published); i++) {
        refused(create("HS256", published[i]), "published example", "########", published[i]);
    }
    for (i = 0; i < RS_ARRAY_LEN(least); i++) {
        const char *text = apr_pstrndup(pool, SECRET, (apr_size_t)least[i].len);

        is_str(create(least[i].alg, text), NULL, apr_psprintf(pool, "%s: enough", least[i].alg));
        refused(create(least[i].alg, text + 1), "openssl rand -hex", text, "one byte less");
    }
    refused(create("HS256", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "very few different",
            "aaaaaaaa", "all the same");
    refused(create(NULL, ""), "empty", "########", "nothing");
    refused(create(NULL, NULL), "empty", "########", "not even a string");
    is_str(create(NULL, SECRET), NULL, "without alg: the default");
    is_str(rs_jwt_key_alg(made), "HS256", "which is HS256");
    is_str(rs_jwt_key_kid(made), NULL, "without kid: none");
    ok(!rs_jwt_key_create(&made, pool, NULL, NULL, NULL, SECRET, 32), "no default at all");
    is_str(rs_jwt_key_alg(made), "HS256", "is HS256 too");
    ok(!rs_jwt_key_create(&made, pool, NULL, NULL, NULL,
                          "\0\1\2\3\4\5\6\7{\"\\xghijklmnopqrstuvwxyz", 32),
       "a secret with a NUL");
}

static void test_alg_names(void)
{
    refused(create("none", SECRET), "let everybody in", SECRET, "none");
    refused(create("NONE", SECRET), "let everybody in", SECRET, "NONE");
    refused(create("hs256", SECRET), "is written HS256", SECRET, "hs256");
    refused(create("ES256K", SECRET), "is not known", SECRET, "ES256K");
    refused(create("", SECRET), "is not known", SECRET, "nothing");
    ok(rs_jwt_alg_known("EdDSA") && !rs_jwt_alg_known("none") && !rs_jwt_alg_known(NULL),
       "known names");
    ok(rs_jwt_key_create(&made, pool, NULL, NULL, "", SECRET, 64) != NULL, "an empty kid");
    ok(rs_jwt_key_create(&made, pool, NULL, NULL, "\xFF", SECRET, 64) != NULL, "not UTF-8");
    ok(rs_jwt_key_create(&made, pool, NULL, NULL, apr_psprintf(pool, "%0257d", 1), SECRET, 64)
           != NULL, "a kid of 257 characters");
}

static const char *certificate(EVP_PKEY *pkey, int trusted)
{
    X509 *cert = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, pkey);
    X509_sign(cert, pkey, EVP_sha256());
    if (trusted) {
        PEM_write_bio_X509_AUX(bio, cert);
    }
    else {
        PEM_write_bio_X509(bio, cert);
    }
    X509_free(cert);
    return bio_text(pool, bio);
}

static const char *traditional(EVP_PKEY *pkey, int params)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (params) {
        BIO_puts(bio, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                      "-----END EC PARAMETERS-----\n");
    }
    PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL);
    return bio_text(pool, bio);
}

static const char *pkcs1_public(EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int len = i2d_PublicKey(pkey, &der);
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, len);
    OPENSSL_free(der);
    return bio_text(pool, bio);
}

/* The key that was made last verifies what `alg` signs. */
static const char *works(const char *alg)
{
    rs_jwt_policy_t policy = {apr_array_make(pool, 1, sizeof(made)), NULL, 0, NULL};
    const char *header = apr_psprintf(pool, "{\"alg\":\"%s\"}", alg);

    *(rs_jwt_key_t **)apr_array_push((apr_array_header_t *)policy.keys) = made;
    return verdict(&policy, token_pkey(pool, alg, header, CLAIMS, pkey_for(alg)));
}

static void taken(const char *alg, const char *material, const char *name)
{
    const char *why = create(alg, material);

    is_str(why ? why : works(alg), NULL, name);
}

static void test_pem_forms(void)
{
    EVP_PKEY *rsa = pkey_for("RS256"), *ec = pkey_for("ES256"), *ed = pkey_for("EdDSA");
    const char *secret_pem;

    taken("RS256", pem_public(pool, rsa), "a public key");
    taken("RS256", apr_pstrcat(pool, "Bag Attributes\r\n", pem_public(pool, rsa), "\n\n", NULL),
          "with text around it");
    taken("RS384", pkcs1_public(rsa), "RSA PUBLIC KEY");
    taken("PS256", pem_private(pool, rsa, NULL), "a private key");
    ok(EVP_PKEY_get_bn_param(made->pkey, OSSL_PKEY_PARAM_RSA_D, &(BIGNUM *){NULL}) == 0,
       "of which the private half is not kept");
    taken("RS512", traditional(rsa, 0), "RSA PRIVATE KEY");
    taken("RS256", certificate(rsa, 0), "a certificate");
    taken("RS256", certificate(rsa, 1), "a trusted certificate");
    taken("RS256", apr_pstrcat(pool, certificate(rsa, 0), certificate(ec, 0), NULL), "a chain");
    taken("ES256", pem_public(pool, ec), "P-256");
    taken("ES256", traditional(ec, 1), "EC PARAMETERS and EC PRIVATE KEY");
    taken("ES384", pem_public(pool, pkey_for("ES384")), "P-384");
    taken("ES512", pem_public(pool, pkey_for("ES512")), "P-521");
    taken("EdDSA", pem_public(pool, ed), "Ed25519");
    taken("EdDSA", pem_private(pool, ed, NULL), "a private Ed25519");
    secret_pem = pem_private(pool, rsa, EVP_aes_256_cbc());
    refused(create("RS256", secret_pem), "encrypted", secret_pem, "an encrypted private key");
    refused(create("RS256", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"),
            "no readable key", "MIIB\n---", "a damaged one");
    refused(create("RS256", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                            "-----END CERTIFICATE REQUEST-----\n"),
            "no readable key", "AAAA\n---", "a block of another kind");
    refused(create("RS256", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                            "-----END OPENSSH PRIVATE KEY-----\n"),
            "OpenSSH", "AAAA\n---", "one of ssh");
    refused(create("RS256", SECRET), "none of them", SECRET, "a secret for RS256");
}

static void test_rsa_pss(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    rs_jwt_policy_t policy = {apr_array_make(pool, 1, sizeof(made)), NULL, 0, NULL};
    EVP_PKEY *pkey = NULL;
    const char *pem;

    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048);
    EVP_PKEY_generate(ctx, &pkey);
    EVP_PKEY_CTX_free(ctx);
    pem = pem_public(pool, pkey);
    refused(create("RS256", pem), "an RSA-PSS key, which RS256 cannot use: write alg=PS256", pem,
            "a key that is for PSS only");
    is_str(create("PS256", pem), NULL, "taken for PS256");
    *(rs_jwt_key_t **)apr_array_push((apr_array_header_t *)policy.keys) = made;
    is_str(verdict(&policy, token_pkey(pool, "PS256", "{\"alg\":\"PS256\"}", CLAIMS, pkey)), NULL,
           "and verifies");
    EVP_PKEY_free(pkey);
}

static const char *bare(EVP_PKEY *pkey, int base64, apr_size_t *len)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);
    char *out = apr_pcalloc(pool, 2 * (apr_size_t)n + 4);

    *len = (apr_size_t)n;
    if (base64) {
        *len = (apr_size_t)EVP_EncodeBlock((unsigned char *)out, der, n);
    }
    else {
        memcpy(out, der, (apr_size_t)n);
    }
    OPENSSL_free(der);
    return out;
}

static void test_mismatch(void)
{
    EVP_PKEY *rsa = pkey_for("RS256"), *ec = pkey_for("ES256"), *weak = EVP_RSA_gen(1024);
    EVP_PKEY *ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), *k1 = EVP_EC_gen("secp256k1");
    const char *pem = pem_public(pool, rsa), *text;
    apr_size_t len;

    refused(create(NULL, pem), "write alg=RS256", pem, "an RSA PEM and no alg");
    refused(create("HS512", pem_public(pool, ec)), "write alg=ES256", "########", "HS512 and EC");
    refused(create("HS256", apr_pstrcat(pool, "x\n", pem, NULL)), "PEM", "########",
            "a PEM behind other text");
    refused(create("ES256", pem), "write alg=RS256", pem, "RSA for ES256");
    refused(create("RS256", pem_public(pool, ec)), "write alg=ES256", "########", "EC for RS256");
    refused(create("ES384", pem_public(pool, ec)), "write alg=ES256", "########",
            "P-256 for ES384");
    refused(create("EdDSA", pem), "write alg=RS256", "########", "RSA for EdDSA");
    refused(create("ES256", pem_public(pool, pkey_for("EdDSA"))), "write alg=EdDSA", "########",
            "Ed25519 for ES256");
    refused(create("EdDSA", pem_public(pool, ed448)), "cannot use", "########", "Ed448");
    refused(create("ES256", pem_public(pool, k1)), "cannot use", "########", "secp256k1");
    refused(create("RS256", pem_public(pool, weak)), "1024 bits", "########", "RSA of 1024 bits");
    text = apr_psprintf(pool, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}",
                        b64url(pool, memset(apr_palloc(pool, 1100), 0xFF, 1100), 1100));
    refused(create("RS256", text), "8800 bits", "########", "RSA of 8800 bits");
    text = memset(apr_pcalloc(pool, 1048578), 'a', 1048577);
    refused(create("HS256", text), "1 MiB", "########", "more than a MiB");
    text = bare(rsa, 1, &len);
    ok(rs_jwt_key_create(&made, pool, "HS256", NULL, NULL, text, len) != NULL,
       "a public key without PEM's lines is no secret");
    ok(rs_jwt_key_create(&made, pool, "RS256", NULL, NULL, text, len) != NULL,
       "nor is it taken for a PEM");
    text = bare(ec, 0, &len);
    ok(rs_jwt_key_create(&made, pool, "HS256", NULL, NULL, text, len) != NULL, "nor one in DER");
    refused(create("HS256", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOuM0"), "public key", "########",
            "nor one of ssh");
    refused(create("HS256", "https://idp.example.org/.well-known/jwks.json"), "address", "########",
            "nor an address");
    EVP_PKEY_free(weak);
    EVP_PKEY_free(ed448);
    EVP_PKEY_free(k1);
}

static const char *param(EVP_PKEY *pkey, const char *name, int len)
{
    unsigned char bytes[512];
    BIGNUM *n = NULL;

    EVP_PKEY_get_bn_param(pkey, name, &n);
    len = len ? BN_bn2binpad(n, bytes, len) : BN_bn2bin(n, bytes);
    BN_free(n);
    return b64url(pool, bytes, (size_t)len);
}

/* The members of a public JWK for an algorithm, without braces. */
static const char *jwk(const char *alg)
{
    EVP_PKEY *pkey = alg[0] == 'H' ? NULL : pkey_for(alg);
    int n = alg[2] == '2' ? 32 : alg[2] == '3' ? 48 : 66;
    unsigned char raw[32];
    size_t len = sizeof(raw);

    if (!pkey) {
        return apr_psprintf(pool, "\"kty\":\"oct\",\"k\":\"%s\"", b64url(pool, SECRET, 64));
    }
    if (alg[0] != 'E') {
        return apr_psprintf(pool, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"",
                            param(pkey, OSSL_PKEY_PARAM_RSA_N, 0),
                            param(pkey, OSSL_PKEY_PARAM_RSA_E, 0));
    }
    if (alg[1] == 'd') {
        EVP_PKEY_get_raw_public_key(pkey, raw, &len);
        return apr_psprintf(pool, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"",
                            b64url(pool, raw, len));
    }
    return apr_psprintf(pool, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"",
                        n == 32 ? "P-256" : n == 48 ? "P-384" : "P-521",
                        param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, n),
                        param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, n));
}

#define JWK(alg, more) apr_pstrcat(pool, "{", jwk(alg), more, "}", NULL)

static void test_jwk(void)
{
    taken("RS256", JWK("RS256", ""), "RSA");
    taken("PS512", JWK("PS512", ",\"alg\":\"PS512\""), "RSA for PS512");
    taken("ES256", JWK("ES256", ""), "P-256");
    taken("ES384", JWK("ES384", ",\"use\":\"sig\""), "P-384");
    taken("ES512", JWK("ES512", ",\"key_ops\":[\"verify\"]"), "P-521");
    taken("EdDSA", JWK("EdDSA", ""), "Ed25519");
    taken("ES256", JWK("ES256", ",\"d\":\"x\""), "a private one");
    is_str(create(NULL, JWK("HS256", ",\"kid\":\"one\",\"alg\":\"HS512\"")), NULL, "oct");
    is_str(rs_jwt_key_alg(made), "HS512", "with its alg");
    is_str(rs_jwt_key_kid(made), "one", "and its kid");
    is_str(create(NULL, JWK("RS256", "")), NULL, "RSA without alg");
    is_str(rs_jwt_key_alg(made), "RS256", "where the default HS256 does not fit: RS256");
    is_str(create(NULL, JWK("ES384", "")), NULL, "P-384 without alg");
    is_str(rs_jwt_key_alg(made), "ES384", "is ES384");
    ok(!rs_jwt_key_create(&made, pool, NULL, "PS384", "mine", JWK("RS256", ",\"kid\":\"x\""),
                          strlen(JWK("RS256", ",\"kid\":\"x\""))),
       "a default that fits, and a kid of the configuration");
    is_str(rs_jwt_key_alg(made), "PS384", "the default");
    is_str(rs_jwt_key_kid(made), "mine", "the configuration's kid");
    is_str(create(NULL, apr_pstrcat(pool, "\xEF\xBB\xBF\r\n ", JWK("EdDSA", ""), "\n", NULL)), NULL,
           "a byte order mark and spaces before it");
}

static void test_jwk_refused(void)
{
    const char *text;

    refused(create("HS256", JWK("RS256", "")), "write alg=RS256", "########", "RSA for HS256");
    refused(create("ES256", JWK("ES384", "")), "write alg=ES384", "########", "P-384 for ES256");
    refused(create("RS256", JWK("RS256", ",\"alg\":\"RS512\"")), "leave alg= out", "########",
            "another alg in the JWK");
    refused(create(NULL, JWK("RS256", ",\"alg\":\"none\"")), "let everybody in", "########",
            "alg none");
    refused(create(NULL, JWK("RS256", ",\"alg\":1")), "not a string", "########", "alg 1");
    refused(create(NULL, JWK("RS256", ",\"kid\":1")), "kid", "########", "kid 1");
    refused(create(NULL, JWK("RS256", ",\"use\":\"enc\"")), "use sig", "########", "use enc");
    refused(create(NULL, JWK("RS256", ",\"key_ops\":[\"encrypt\"]")), "use sig", "########",
            "key_ops encrypt");
    refused(create(NULL, JWK("RS256", ",\"kty\":\"RSA\"")), "no JWK", "########", "kty twice");
    refused(create(NULL, "{\"kty\":\"XYZ\"}"), "not known", "########", "an unknown kty");
    refused(create(NULL, "{\"kty\":\"EC\",\"crv\":\"secp256k1\"}"), "not known", "########",
            "an unknown curve");
    refused(create(NULL, "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}"), "5 bytes", "########",
            "a short secret");
    refused(create(NULL, "{\"kty\":\"oct\",\"k\":\"a b\"}"), "base64url", "########", "a bad k");
    refused(create(NULL, "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"), "bits", "########",
            "a tiny RSA key");
    text = apr_psprintf(pool, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQ\"}",
                        param(pkey_for("RS256"), OSSL_PKEY_PARAM_RSA_N, 0));
    ok(create(NULL, text) != NULL, "RSA with the exponent 1");
    text = apr_psprintf(pool, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                        b64url(pool, SECRET, 32), b64url(pool, SECRET, 32));
    ok(create(NULL, text) != NULL, "a point off the curve");
    text = apr_psprintf(pool, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                        b64url(pool, SECRET, 31), b64url(pool, SECRET, 32));
    ok(create(NULL, text) != NULL, "a coordinate of 31 bytes");
    ok(create(NULL, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}") != NULL, "a short x");
    refused(create("HS256", apr_pstrndup(pool, JWK("RS256", ""), 300)), "no JWK", "########",
            "a JWK cut in half is not taken for a secret");
    refused(create("HS256", apr_pstrcat(pool, "[", JWK("RS256", ""), "]", NULL)), "no JWK",
            "########", "nor is an array of JWKs");
    refused(create(NULL, apr_pstrcat(pool, "{\"keys\":[", JWK("RS256", ""), "]}", NULL)), "set",
            "########", "nor is a set");
}

static const char *set_load(const char *text, apr_array_header_t **keys)
{
    *keys = apr_array_make(pool, 4, sizeof(rs_jwt_key_t *));
    return rs_jwt_jwks_load(*keys, pool, "HS256", text, strlen(text));
}

static void test_set(void)
{
    apr_array_header_t *keys;
    rs_jwt_policy_t policy = {NULL, NULL, 0, NULL};
    const char *set = apr_pstrcat(
        pool, "{\"keys\":[", JWK("RS256", ",\"kid\":\"enc\",\"use\":\"enc\""), ",",
        JWK("RS256", ",\"kid\":\"oaep\",\"alg\":\"RSA-OAEP\""), ",{\"kty\":\"AKP\",\"pub\":\"x\"},",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"x\"},17,",
        JWK("RS256", ",\"kid\":\"r\",\"x5c\":[\"x\"]"), ",", JWK("ES256", ",\"kid\":\"e\""), ",",
        JWK("EdDSA", ",\"kid\":\"d\""), ",", JWK("HS256", ",\"kid\":\"h\""), "]}", NULL);
    const char *two = apr_pstrcat(pool, "{\"keys\":[", JWK("ES256", ""), ",",
                                  "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", NULL);

    char *many = apr_pcalloc(pool, 1000);
    int i;

    for (i = 0, strcpy(many, "{\"keys\":[0"); i < 100; i++) {
        strcat(many, ",0");
    }
    strcat(many, "]}");
#define BY(alg, kid)                                                                               \
    verdict(&policy, token_pkey(pool, alg, "{\"alg\":\"" alg "\",\"kid\":\"" kid "\"}", CLAIMS,    \
                                pkey_for(alg)))
    is_str(set_load(set, &keys), NULL, "a set");
    is_int(keys->nelts, 4, "of which 4 keys are for signatures");
    policy.keys = keys;
    is_str(BY("RS256", "r"), NULL, "RS256 by its kid");
    is_str(BY("ES256", "e"), NULL, "ES256 by its kid");
    is_str(BY("EdDSA", "d"), NULL, "EdDSA by its kid");
    is_str(BY("RS256", "enc"), "unknown key id", "the key for encryption verifies nothing");
    is_str(BY("RS256", "e"), "unknown key id", "nor does a kid of another algorithm");
    is_str(verdict(&policy, hs("{\"alg\":\"HS256\",\"kid\":\"h\"}", CLAIMS)), NULL, "HS256");
    is_str(set_load(JWK("ES256", ""), &keys), NULL, "a single JWK");
    is_int(keys->nelts, 1, "is one key");
    refused(set_load(two, &keys), "JWK number 2", "########", "a broken key refuses its set");
    is_int(keys->nelts, 0, "wholly");
    refused(set_load(apr_pstrcat(pool, "{\"keys\":[1", apr_psprintf(pool, "%0100d", 0), "]}", NULL),
                     &keys), "no JWK", "########", "a set that is no JSON");
    refused(set_load(many, &keys), "more than 100", "########", "a set of 101");
    refused(set_load("{\"keys\":[]}", &keys), "no key", "########", "an empty set");
    refused(set_load("{\"keys\":{}}", &keys), "no JWK", "########", "keys that are no array");
    refused(set_load("not json", &keys), "", "########", "no JSON");
    refused(set_load("", &keys), "empty", "########", "nothing");
    is_str(rs_jwt_keys_add(keys, pool, NULL, "HS256", NULL, set, strlen(set)), NULL, "added");
    is_str(rs_jwt_keys_add(keys, pool, "HS384", "HS256", "k", SECRET, 64), NULL, "and a secret");
    is_int(keys->nelts, 5, "make 5");
    ok(rs_jwt_keys_add(keys, pool, "RS256", NULL, NULL, set, strlen(set)) != NULL,
       "alg= does not go with a set");
    ok(rs_jwt_keys_add(keys, pool, NULL, NULL, NULL, NULL, 0) != NULL, "nor does nothing");
    is_int(keys->nelts, 5, "still 5");
#undef BY
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_secrets();
    test_alg_names();
    test_pem_forms();
    test_rsa_pss();
    test_mismatch();
    test_jwk();
    test_jwk_refused();
    test_set();
    apr_pool_destroy(pool);
    return done_testing();
}
