/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile tokens, headers, claims, keys, JWK sets and claim paths. The first byte of an input
 * chooses what the rest is; headers and claims are signed here, so that the fuzzer gets behind the
 * signature. Besides crashes it looks for a token that is accepted without the right key.
 */
#include <apr_tables.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../../src/auth/rs_claims.h"
#include "../../src/auth/rs_jwt.h"
#include "fuzz.h"

#define SECRET "k7Jq2m-Zx0vTr9LwP4sNe8HdYb6UcGfA1oXi3KtQzMlRjV5nSuBpWyEhDgCa_I0O"
#define NOW apr_time_from_sec(1700000000)

/* Examples of RFC 7515, 7517 and 8037; nothing here signs with them. */
static const char *const public_keys[] = {
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"e\":\"AQAB\",\"n\":\""
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
    "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"
    "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
    "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}",
};

static apr_pool_t *pool;
static rs_jwt_policy_t policy;

void fuzz_setup(apr_pool_t *all)
{
    apr_array_header_t *keys = apr_array_make(all, 4, sizeof(rs_jwt_key_t *));
    size_t i;

    require(!rs_jwt_keys_add(keys, all, "HS256", NULL, "hs", SECRET, strlen(SECRET)));
    for (i = 0; i < RS_ARRAY_LEN(public_keys); i++) {
        require(
            !rs_jwt_keys_add(keys, all, NULL, NULL, NULL, public_keys[i], strlen(public_keys[i])));
    }
    policy.keys = keys;
    policy.leeway = apr_time_from_sec(30);
    rs_jwt_cache_create(&policy.cache, all);
}

static char *b64url(const void *data, size_t len)
{
    char *out = apr_palloc(pool, len * 4 / 3 + 8);
    int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len), i;

    for (i = 0; i < n; i++) {
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    }
    while (n > 0 && out[n - 1] == '=') {
        n--;
    }
    out[n] = '\0';
    return out;
}

static int verify(const char *token, size_t len)
{
    const char *reason = NULL;
    rs_jwt_t *jwt = NULL;
    apr_status_t rv = rs_jwt_verify(&jwt, pool, &policy, token, len, NOW, &reason);

    require((rv == APR_SUCCESS) == (jwt != NULL));
    require((rv == APR_SUCCESS) == (reason == NULL));
    require(!jwt || rs_json_kind(jwt->claims) == '{');
    require(!jwt || !jwt->expires || jwt->expires > NOW);
    return rv == APR_SUCCESS;
}

static char *mac_of(const char *text, size_t len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len;

    HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (const unsigned char *)text, len, mac,
         &mac_len);
    return b64url(mac, mac_len);
}

/* The one key that anybody here has is the secret: what is accepted must be signed with it, and
 * be spelled in the one right way. */
static void with_token(const char *data, size_t size)
{
    char *token = fuzz_text(pool, data, size), *dot = strrchr(token, '.');

    if (verify(data, size)) {
        require(dot && strlen(token) == size);
        require(!strcmp(dot + 1, mac_of(token, (size_t)(dot - token))));
    }
}

static int is_json(const char *s)
{
    rs_json_t text = {s, s + strlen(s)};

    return !rs_json_check(&text, pool, "it", text, RS_JSON_DEPTH_MAX);
}

static int verify_signed(const char *header, size_t header_len, const char *claims,
                         size_t claims_len)
{
    char *text =
        apr_pstrcat(pool, b64url(header, header_len), ".", b64url(claims, claims_len), NULL);
    char *token = apr_pstrcat(pool, text, ".", mac_of(text, strlen(text)), NULL);

    return verify(token, strlen(token));
}

static void try_claim(rs_json_t claim, const char *path)
{
    const char *text = rs_claim_text(pool, claim), *json;
    const char *name = rs_claim_name(pool, claim, &json);

    for (; text && *text; text++) {
        require((unsigned char)*text >= ' ' && *text != 0x7F);
    }
    require(!name || is_json(json));
    rs_claim_has(pool, claim, path);
}

/* The path is the input up to its first newline. */
static void with_path(const char *data, size_t size)
{
    const char *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    char *path = fuzz_text(pool, data, n);
    rs_json_t claims = {NULL, NULL}, text = {end ? end + 1 : data + n, data + size};

    if (!rs_json_check(&text, pool, "it", text, RS_JSON_DEPTH_MAX)) {
        claims = text;
    }
    try_claim(rs_claim_find(claims, path), path);
}

static void with_claims(const char *data, size_t size)
{
    static const char header[] = "{\"alg\":\"HS256\"}";
    rs_json_t text = {data, data + size}, inside, name, value;

    if (!verify_signed(header, sizeof(header) - 1, data, size)) {
        return;
    }
    require(!rs_json_check(&text, pool, "it", text, RS_JSON_DEPTH_MAX));
    inside = rs_json_inside(text);
    while (rs_json_member(&inside, &name, &value)) {
        const char *found = rs_json_string(pool, name);

        /* Each name is text, and leads to the one claim that is called so. */
        require(found);
        require(!*found || strlen(found) > RS_CLAIM_PATH_MAX
                || rs_claim_find(text, found).s == value.s);
        try_claim(value, found);
    }
}

static void with_key(const char *data, size_t size)
{
    static const char *const algs[] = {NULL, "HS256", "RS256", "PS512", "ES256", "ES512", "EdDSA"};
    apr_array_header_t *keys = apr_array_make(pool, 4, sizeof(rs_jwt_key_t *));
    const char *alg = size ? algs[(unsigned char)data[0] % RS_ARRAY_LEN(algs)] : NULL;
    const char *why;

    if (size == 0) {
        return;
    }
    why = rs_jwt_keys_add(keys, pool, alg, "HS256", NULL, data + 1, size - 1);
    require((why == NULL) == (keys->nelts > 0));
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    apr_array_header_t *keys;

    pool = p;
    if (size == 0 || size > 20000) {
        return;
    }
    switch (data[0]) {
    case 't':
        with_token(data + 1, size - 1);
        break;
    case 'h':
        verify_signed(data + 1, size - 1, "{}", 2);
        break;
    case 'c':
        with_claims(data + 1, size - 1);
        break;
    case 'p':
        with_path(data + 1, size - 1);
        break;
    case 'k':
        with_key(data + 1, size - 1);
        break;
    case 'j':
        keys = apr_array_make(pool, 4, sizeof(rs_jwt_key_t *));
        rs_jwt_jwks_load(keys, pool, "RS256", data + 1, size - 1);
        break;
    default:
        break;
    }
}
