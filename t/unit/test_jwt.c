/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that must not be accepted: a table of known attacks and each byte changed. Keys and
 * tokens are made here with OpenSSL, independently of the code under test.
 */
#include "../../src/auth/rs_claims.h"
#include "jwt_verdict.h"

#define NO_OBJECT "the token's payload is no JSON object"
#define TWICE "a name comes twice in the token's payload"
#define TOO_DEEP "the token's payload is nested deeper than 16 levels"

static const struct {
    const char *name, *header, *claims, *reason;
} attacks[] = {
    {"alg none", "{\"alg\":\"none\"}", CLAIMS, NO_ALG},
    {"alg None", "{\"alg\":\"None\"}", CLAIMS, NO_ALG},
    {"alg nOnE", "{\"alg\":\"nOnE\"}", CLAIMS, NO_ALG},
    {"alg in the wrong case", "{\"alg\":\"hs256\"}", CLAIMS, NO_ALG},
    {"alg with a space", "{\"alg\":\"HS256 \"}", CLAIMS, NO_ALG},
    {"alg of the same family", "{\"alg\":\"HS384\"}", CLAIMS, NO_ALG},
    {"alg empty", "{\"alg\":\"\"}", CLAIMS, NO_ALG},
    {"alg missing", "{\"typ\":\"JWT\"}", CLAIMS, "the token names no algorithm"},
    {"alg null", "{\"alg\":null}", CLAIMS, "the token names no algorithm"},
    {"alg a number", "{\"alg\":256}", CLAIMS, "the token names no algorithm"},
    {"alg an array", "{\"alg\":[\"HS256\"]}", CLAIMS, "the token names no algorithm"},
    {"alg twice", "{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS,
     "a name comes twice in the token's header"},
    {"alg twice, one name escaped", "{\"\\u0061lg\":\"none\",\"alg\":\"HS256\"}", CLAIMS,
     "a name comes twice in the token's header"},
    {"alg with a NUL", "{\"alg\":\"HS256\\u0000\"}", CLAIMS, "the token names no algorithm"},
    {"a header that is an array", "[{\"alg\":\"HS256\"}]", CLAIMS,
     "the token's header is no JSON object"},
    {"a header with something behind it", "{\"alg\":\"HS256\"} x", CLAIMS,
     "the token's header cannot be read as JSON, at line 1, column 17: something follows its end"},
    {"a header of junk", "alg=HS256", CLAIMS,
     "the token's header cannot be read as JSON, at line 1, column 1: it is not well-formed"},
    {"crit", "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", CLAIMS,
     "the token uses an extension (crit, b64)"},
    {"crit empty", "{\"alg\":\"HS256\",\"crit\":[]}", CLAIMS,
     "the token uses an extension (crit, b64)"},
    {"b64", "{\"alg\":\"HS256\",\"b64\":false}", CLAIMS, "the token uses an extension (crit, b64)"},
    {"typ of another kind", "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", CLAIMS,
     "the token's typ is neither JWT nor at+jwt"},
    {"typ a number", "{\"alg\":\"HS256\",\"typ\":1}", CLAIMS, "the token's typ is not a string"},
    {"kid a number", "{\"alg\":\"HS256\",\"kid\":1}", CLAIMS, "the token's kid is not a string"},
    {"claims that are an array", JOSE("HS256"), "[]", NO_OBJECT},
    {"claims that are a string", JOSE("HS256"), "\"x\"", NO_OBJECT},
    {"claims of junk", JOSE("HS256"), "sub=1",
     "the token's payload cannot be read as JSON, at line 1, column 1: it is not well-formed"},
    {"a claim twice", JOSE("HS256"), "{\"tenant_id\":1,\"tenant_id\":2}", TWICE},
    {"a claim twice, nested", JOSE("HS256"), "{\"org\":{\"id\":1,\"id\":2}}", TWICE},
    {"a claim twice, one name escaped", JOSE("HS256"), "{\"sub\":\"1\",\"s\\u0075b\":\"2\"}",
     TWICE},
    {"a claim twice, in an array", JOSE("HS256"), "{\"a\":[1,{\"b\":1,\"c\":2,\"b\":3}]}", TWICE},
    {"a NUL in a claim's name", JOSE("HS256"), "{\"exp\\u0000\":1}",
     "a name in the token's payload is no text"},
    {"claims that are not UTF-8", JOSE("HS256"), "{\"sub\":\"\xC0\xAF\"}",
     "the token's payload is not UTF-8"},
    {"an integer beyond 64 bits", JOSE("HS256"), "{\"exp\":99999999999999999999}",
     "exp is out of range (it counts seconds since 1970)"},
    {"expired", JOSE("HS256"), "{\"exp\":1699999999}", "expired"},
    {"expired this very second", JOSE("HS256"), "{\"exp\":1700000000}", "expired"},
    {"exp zero", JOSE("HS256"), "{\"exp\":0}", "expired"},
    {"exp as a string", JOSE("HS256"), "{\"exp\":\"1800000000\"}", "exp is not a number"},
    {"exp null", JOSE("HS256"), "{\"exp\":null}", "exp is not a number"},
    {"exp true", JOSE("HS256"), "{\"exp\":true}", "exp is not a number"},
    {"exp an array", JOSE("HS256"), "{\"exp\":[1800000000]}", "exp is not a number"},
    {"exp negative", JOSE("HS256"), "{\"exp\":-1}",
     "exp is out of range (it counts seconds since 1970)"},
    {"exp 1e300", JOSE("HS256"), "{\"exp\":1e300}",
     "exp is out of range (it counts seconds since 1970)"},
    {"exp 1e400", JOSE("HS256"), "{\"exp\":1e400}",
     "exp is out of range (it counts seconds since 1970)"},
    {"exp that overflows in microseconds", JOSE("HS256"), "{\"exp\":9223372036854775807}",
     "exp is out of range (it counts seconds since 1970)"},
    {"exp in milliseconds", JOSE("HS256"), "{\"exp\":1800000000000}",
     "exp is out of range (it counts seconds since 1970)"},
    {"exp a past fraction", JOSE("HS256"), "{\"exp\":1699999999.9}", "expired"},
    {"nbf in the future", JOSE("HS256"), "{\"nbf\":1700000001}", "not yet valid"},
    {"nbf as a string", JOSE("HS256"), "{\"nbf\":\"1\"}", "nbf is not a number"},
    {"iat as a string", JOSE("HS256"), "{\"iat\":\"1\"}", "iat is not a number"},
    {"iat -1e300", JOSE("HS256"), "{\"iat\":-1e300}",
     "iat is out of range (it counts seconds since 1970)"},
};

static void test_attacks(void)
{
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(attacks); i++) {
        is_str(verdict(policy, hs(attacks[i].header, attacks[i].claims)), attacks[i].reason,
               attacks[i].name);
    }
}

static void test_confusion(void)
{
    rs_jwt_policy_t *rs = policy_of("RS256", NULL), *both = policy_of("RS256", "HS256", NULL);
    const char *pem = pem_public(pool, pkey_for("RS256"));
    const char *stripped = apr_pstrmemdup(pool, pem, strlen(pem) - 1);
    const char *text = token_text(pool, JOSE("HS256"), CLAIMS);
    EVP_PKEY *evil = EVP_RSA_gen(2048);

    is_str(verdict(rs, token_hmac(pool, "HS256", JOSE("HS256"), CLAIMS, pem, strlen(pem))), NO_ALG,
           "HS256 with the RSA public key as secret");
    is_str(verdict(both, token_hmac(pool, "HS256", JOSE("HS256"), CLAIMS, pem, strlen(pem))),
           MISMATCH, "the same beside a real HS256 key");
    is_str(
        verdict(both, token_hmac(pool, "HS256", JOSE("HS256"), CLAIMS, stripped, strlen(stripped))),
        MISMATCH, "the same without the last newline");
    is_str(verdict(rs, token_hmac(pool, "HS256", JOSE("RS256"), CLAIMS, pem, strlen(pem))),
           MISMATCH, "an HMAC under the name RS256");
    is_str(verdict(both, apr_pstrcat(pool, text, ".", sign_hmac(pool, "HS256", text, "", 0), NULL)),
           MISMATCH, "the empty key");
    is_str(verdict(both, apr_pstrcat(pool, text, ".AA", NULL)), MISMATCH, "one byte of signature");
    is_str(verdict(rs, token_pkey(pool, "RS512", JOSE("RS512"), CLAIMS, pkey_for("RS256"))), NO_ALG,
           "the right key with another hash");
    is_str(verdict(rs, token_pkey(pool, "RS512", JOSE("RS256"), CLAIMS, pkey_for("RS256"))),
           MISMATCH, "another hash under the right name");
    is_str(verdict(rs, token_pkey(pool, "PS256", JOSE("RS256"), CLAIMS, pkey_for("RS256"))),
           MISMATCH, "PSS under the name of PKCS#1");
    is_str(verdict(rs, token_pkey(pool, "RS256", JOSE("RS256"), CLAIMS, evil)), MISMATCH,
           "another RSA key");
    is_str(verdict(rs, token_pkey(pool, "RS256",
                                  "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\"},"
                                  "\"jku\":\"https://evil.example/k\",\"x5u\":\"file:///k\"}",
                                  CLAIMS, evil)),
           MISMATCH, "jwk, jku and x5u of the token are not looked at");
    is_str(verdict(policy_of(NULL, NULL), hs(JOSE("HS256"), CLAIMS)), NO_ALG, "no keys, no entry");
    EVP_PKEY_free(evil);
}

static void test_ecdsa(void)
{
    rs_jwt_policy_t *policy = policy_of("ES256", NULL);
    const char *text = token_text(pool, JOSE("ES256"), CLAIMS);
    static const unsigned char order[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0,    0,    0,    0,
                                            0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                            0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84,
                                            0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51};
    unsigned char raw[80] = {0}, *der = NULL;
    size_t len, i;
    int wrong = 0, der_len;
    ECDSA_SIG *pair = ECDSA_SIG_new();

#define WITH(bytes, n) apr_pstrcat(pool, text, ".", b64url(pool, bytes, n), NULL)
    memcpy(raw, sign_raw(pool, "ES256", text, pkey_for("ES256"), &len), 64);
    is_str(verdict(policy, WITH(raw, 64)), NULL, "ES256: the right signature");
    for (i = 1; i <= 80; i++) {
        wrong += i != 64 && !verdict(policy, WITH(raw, i));
    }
    is_int(wrong, 0, "ES256: every wrong length is refused");
    ECDSA_SIG_set0(pair, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));
    der_len = i2d_ECDSA_SIG(pair, &der);
    is_str(verdict(policy, WITH(der, (size_t)der_len)), MISMATCH, "ES256: a signature in DER");
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
    memset(raw, 0, sizeof(raw));
    is_str(verdict(policy, WITH(raw, 64)), MISMATCH, "ES256: r = s = 0");
    memcpy(raw, order, 32);
    memcpy(raw + 32, order, 32);
    is_str(verdict(policy, WITH(raw, 64)), MISMATCH, "ES256: r = s = the order of the group");
    memset(raw, 0xFF, sizeof(raw));
    is_str(verdict(policy, WITH(raw, 64)), MISMATCH, "ES256: all ones");
    is_str(verdict(policy_of("ES384", NULL),
                   token_pkey(pool, "ES256", JOSE("ES384"), CLAIMS, pkey_for("ES256"))),
           MISMATCH, "ES384: a signature of P-256");
#undef WITH
}

static void test_spelling(void)
{
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);
    const char *token = hs(JOSE("HS256"), CLAIMS);
    const char *bad = "a part of the token is not base64url";
    const char *three = "the token does not have three parts";
    apr_size_t n = strlen(token);
    char *copy = apr_pstrdup(pool, token);

    is_str(verdict(policy, token), NULL, "the token as it is");
    is_str(verdict(policy, ""), "there is no token", "nothing");
    is_str(verdict_at(policy, "a.b\0c", 5, NOW), three, "a NUL is no dot");
    is_str(verdict(policy, apr_pstrcat(pool, token, "=", NULL)), bad, "padding");
    is_str(verdict(policy, apr_pstrcat(pool, token, ".", NULL)), three, "a dot at the end");
    is_str(verdict(policy, apr_pstrcat(pool, ".", token, NULL)), three, "a dot at the start");
    is_str(verdict(policy, ".."), bad, "three empty parts");
    is_str(verdict(policy, apr_pstrcat(pool, token_text(pool, JOSE("HS256"), CLAIMS), ".", NULL)),
           bad, "an empty signature");
    is_str(verdict(policy, token_text(pool, JOSE("HS256"), CLAIMS)), three, "no signature");
    is_str(verdict(policy, apr_pstrcat(pool, token, "\n", NULL)), bad, "a newline at the end");
    is_str(verdict(policy, apr_pstrcat(pool, " ", token, NULL)), bad, "a space at the start");
    is_str(verdict_at(policy, apr_pstrcat(pool, token, "x", NULL), n + 2, NOW), bad,
           "a NUL at the end");
    /* 43 characters hold 258 bits: the last two must be zero. */
    copy[n - 1] = (char)(copy[n - 1] + 1);
    ok(verdict(policy, copy) != NULL, "the last character one higher");
    is_str(verdict(policy, apr_pstrcat(pool, token_text(pool, JOSE("HS256"), CLAIMS), ".AB", NULL)),
           bad, "bits behind the last byte");
    is_str(verdict(policy, "e30.e30.A"), bad, "a part of one character");
    is_str(verdict(policy, "e+A.e/A.AA"), bad, "the other base64 alphabet");
}

static void test_bounds(void)
{
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);
    char *big = apr_pcalloc(pool, 9001), *deep;
    int i;

    memset(big, 'x', 9000);
    is_str(verdict(policy, hs(JOSE("HS256"), apr_psprintf(pool, "{\"a\":\"%.5900s\"}", big))), NULL,
           "a token of nearly 8 KiB");
    is_str(verdict(policy, hs(JOSE("HS256"), apr_psprintf(pool, "{\"a\":\"%.6100s\"}", big))),
           "the token is longer than 8 KiB", "a token of more");
    memset(big, '.', 9000);
    is_str(verdict(policy, big), "the token is longer than 8 KiB", "9000 dots");
    is_str(
        verdict(policy, hs(apr_psprintf(pool, "{\"alg\":\"HS256\",\"a\":\"%.4100s\"}", big), "{}")),
        "the token's header is too long", "a header over 4 KiB");
    for (i = 16; i <= 17; i++) {
        deep = apr_pcalloc(pool, 100);
        memset(deep, '[', (size_t)i - 1);
        memset(deep + i - 1, ']', (size_t)i - 1);
        deep = apr_pstrcat(pool, "{\"alg\":\"HS256\",\"a\":", deep, "}", NULL);
        is_str(verdict(policy, hs(JOSE("HS256"), deep)), i == 16 ? NULL : TOO_DEEP,
               i == 16 ? "claims 16 deep" : "claims 17 deep");
        is_str(verdict(policy, hs(deep, "{}")),
               i == 16 ? NULL : "the token's header is nested deeper than 16 levels",
               i == 16 ? "a header 16 deep" : "a header 17 deep");
    }
    /* Whatever nobody asks for is no reason to refuse a token. */
    is_str(verdict(policy, hs("{\"alg\":\"HS256\",\"x\":1e400}",
                              "{\"a\":1e400,\"b\":12345678901234567890,\"c\":\"x\\u0000\","
                              "\"d\":[\"\\ud800\",{\"e\":\"\\r\\n\"}],\"sub\":\"7\"}")),
           NULL, "numbers and strings that few parsers have room for");
    is_str(rs_claim_text(pool, rs_claim_find(last->claims, "sub")), "7", "  and the rest is read");
    big = apr_pcalloc(pool, 9001);
    memset(big, '[', 5000);
    big[5000] = '\0';
    is_str(verdict(policy, hs(JOSE("HS256"), big)), TOO_DEEP, "claims 5000 deep");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"a\":\"[[[\\\"[[[[[[[[[[[[[[[[[[[[[[\"}")), NULL,
           "brackets in a string do not nest");
    is_str(verdict(policy,
                   hs(JOSE("HS256"), "{\"a\":\"\\\\\",\"b\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}")),
           TOO_DEEP, "a backslash does not hide those behind it");
}

/* With another `typ` libjwt is not asked, and cannot hide a fault of ours. */
static void test_every_byte(const char *alg, const char *typ, int bits)
{
    rs_jwt_policy_t *policy = policy_of(alg, NULL);
    const char *header = apr_psprintf(pool, "{\"alg\":\"%s\",\"typ\":\"%s\"}", alg, typ), *token;
    apr_size_t i, n;
    int bit, accepted = 0;
    char *copy;

    token = alg[0] == 'H' ? token_hmac(pool, alg, header, CLAIMS, SECRET, strlen(SECRET))
                          : token_pkey(pool, alg, header, CLAIMS, pkey_for(alg));
    n = strlen(token);
    copy = apr_pstrdup(pool, token);
    is_str(verdict(policy, token), NULL, alg);
    for (i = 0; i < n; i++) {
        accepted += !verdict_at(policy, token, i, NOW);
        for (bit = 0; bit < bits; bit++) {
            copy[i] = (char)(token[i] ^ 1 << (bits == 8 ? bit : (int)(i % 8)));
            accepted += !verdict_at(policy, copy, n, NOW);
        }
        copy[i] = token[i];
    }
    for (i = 1; i <= 4; i++) {
        accepted += !verdict(policy, apr_pstrcat(pool, token, apr_pstrndup(pool, "AAAA", i), NULL));
    }
    ok(accepted == 0, "%s: longer, cut at each byte, with a flipped bit in each: never accepted",
       alg);
}

static void test_kid(void)
{
    rs_jwt_policy_t *named = policy_of("HS256:2024-a", NULL), *plain = policy_of("HS256", NULL);
    rs_jwt_policy_t *two = policy_of("RS256:rsa", "HS256:2024-b", "HS256:2024-a", NULL);
    rs_jwt_policy_t *many = policy_of(NULL, NULL);
    rs_jwt_key_t *wrong, *right = key_make("HS256", "m");
    apr_array_header_t *keys = apr_array_make(pool, 20, sizeof(wrong));
    int i;

#define KID(kid) hs("{\"alg\":\"HS256\",\"kid\":\"" kid "\"}", CLAIMS)
    is_str(verdict(named, KID("2024-a")), NULL, "the right kid");
    is_str(verdict(named, hs(JOSE("HS256"), CLAIMS)), NULL, "no kid in the token");
    is_str(verdict(plain, KID("anything")), NULL, "no kid at the key");
    is_str(verdict(two, KID("2024-a")), NULL, "the third of three keys");
    is_str(verdict(named, KID("2024-A")), "unknown key id", "a kid in the wrong case");
    is_str(verdict(named, KID("")), "unknown key id", "an empty kid");
    is_str(verdict(named, KID("*")), "unknown key id", "a wildcard");
    is_str(verdict(named, KID("2024-?")), "unknown key id", "another wildcard");
    is_str(verdict(named, KID("../../../dev/null")), "unknown key id", "a path");
    is_str(verdict(named, KID("' UNION SELECT 'x")), "unknown key id", "SQL");
    is_str(verdict(named, KID("2024-a\\u0000")), "the token's kid is not a string", "a NUL");
    is_str(verdict(two, KID("rsa")), "unknown key id", "the kid of a key of another algorithm");
    ok(!rs_jwt_key_create(&wrong, pool, "HS256", NULL, "m", SECRET "x", sizeof(SECRET)),
       "another secret");
    for (i = 0; i < 16; i++) {
        APR_ARRAY_PUSH(keys, rs_jwt_key_t *) = i == 15 ? right : wrong;
    }
    many->keys = keys;
    is_str(verdict(many, KID("m")), NULL, "16 keys are tried");
    APR_ARRAY_IDX(keys, 15, rs_jwt_key_t *) = wrong;
    APR_ARRAY_PUSH(keys, rs_jwt_key_t *) = right;
    is_str(verdict(many, KID("m")), MISMATCH, "a 17th is not");
#undef KID
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_attacks();
    test_confusion();
    test_ecdsa();
    test_spelling();
    test_bounds();
    test_every_byte("HS256", "JWT", 8);
    test_every_byte("HS256", "at+jwt", 8);
    test_every_byte("HS384", "at+jwt", 1);
    test_every_byte("RS256", "JWT", 1);
    test_every_byte("ES256", "JWT", 1);
    test_every_byte("EdDSA", "JWT", 1);
    test_kid();
    apr_pool_destroy(pool);
    return done_testing();
}
