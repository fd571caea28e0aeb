/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Web Keys (RFC 7517, 7518, 8037): one, or a set. Start-up only. What a set holds for other
 * purposes or in unknown kinds is skipped, as the RFC wants; a key that is meant for signatures
 * and is wrong refuses the whole set, since the tokens signed with it would fail one by one later.
 */
#include <string.h>

#include <apr_strings.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "../base/rs_log.h"
#include "rs_jwt_private.h"

#define JWK_SET_MAX 100 /* keys */
#define JWK_FIELD_MAX 4096

static int nesting_within(const char *data, apr_size_t len, int limit)
{
    int depth = 0, quoted = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (quoted) {
            if (data[i] == '\\') {
                i++;
            }
            else if (data[i] == '"') {
                quoted = 0;
            }
        }
        else if (data[i] == '"') {
            quoted = 1;
        }
        else if (data[i] == '{' || data[i] == '[') {
            if (++depth > limit) {
                return 0;
            }
        }
        else if (data[i] == '}' || data[i] == ']') {
            depth--;
        }
    }
    return 1;
}

/* An object without duplicate names, nested at most RS_JWT_DEPTH_MAX levels, which are counted
 * before jansson recurses; else NULL. json_decref() it. */
static json_t *object_load(const char *data, apr_size_t len)
{
    json_error_t error;
    json_t *json;

    if (!nesting_within(data, len, RS_JWT_DEPTH_MAX)) {
        return NULL;
    }
    json = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

static void skip_space(const char **s, apr_size_t *len)
{
    if (*len >= 3 && memcmp(*s, "\xEF\xBB\xBF", 3) == 0) {
        *s += 3;
        *len -= 3;
    }
    while (*len && (**s == ' ' || **s == '\t' || **s == '\r' || **s == '\n')) {
        (*s)++;
        (*len)--;
    }
}

static json_t *load(const char *s, apr_size_t len)
{
    skip_space(&s, &len);
    return object_load(s, len);
}

rs_jwk_kind_t rs_jwk_kind(const char *s, apr_size_t len)
{
    rs_jwk_kind_t kind = RS_JWK_BROKEN;
    json_t *json;

    skip_space(&s, &len);
    if (len == 0 || (*s != '{' && *s != '[') || !memchr(s, '"', len)) {
        return RS_JWK_NONE;
    }
    json = object_load(s, len);
    if (json_is_array(json_object_get(json, "keys"))) {
        kind = RS_JWK_SET;
    }
    else if (json_is_string(json_object_get(json, "kty"))) {
        kind = RS_JWK_ONE;
    }
    json_decref(json);
    return kind;
}

static const char *member(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

static int has_secret(const json_t *jwk)
{
    return json_object_get(jwk, "d") || json_object_get(jwk, "k");
}

int rs_jwk_is_secret(const char *s, apr_size_t len)
{
    json_t *root = load(s, len);
    const json_t *jwk;
    int secret = !root || has_secret(root);
    size_t i;

    json_array_foreach(json_object_get(root, "keys"), i, jwk) { secret |= has_secret(jwk); }
    json_decref(root);
    return secret;
}

/* The bytes of a base64url member, or NULL. */
static unsigned char *bytes(apr_pool_t *p, const json_t *jwk, const char *name, apr_size_t *len)
{
    const char *text = member(jwk, name);
    apr_size_t n = text ? strlen(text) : 0;
    unsigned char *out;

    if (n == 0 || n > JWK_FIELD_MAX) {
        return NULL;
    }
    out = apr_palloc(p, n);
    return rs_base64url_decode(out, len, text, n) ? out : NULL;
}

static EVP_PKEY *pkey_build(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1) {
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *pkey_rsa(apr_pool_t *p, const json_t *jwk)
{
    apr_size_t n_len, e_len;
    unsigned char *n_bytes = bytes(p, jwk, "n", &n_len), *e_bytes = bytes(p, jwk, "e", &e_len);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = n_bytes ? BN_bin2bn(n_bytes, (int)n_len, NULL) : NULL;
    BIGNUM *e = e_bytes ? BN_bin2bn(e_bytes, (int)e_len, NULL) : NULL;
    EVP_PKEY *pkey = NULL;

    if (n && e && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n)
        && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e)) {
        pkey = pkey_build("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return pkey;
}

static EVP_PKEY *pkey_ec(apr_pool_t *p, const json_t *jwk, const rs_jwt_alg_t *alg)
{
    apr_size_t x_len, y_len;
    unsigned char *x = bytes(p, jwk, "x", &x_len), *y = bytes(p, jwk, "y", &y_len);
    unsigned char point[1 + 2 * 66];
    OSSL_PARAM_BLD *build;
    EVP_PKEY *pkey = NULL;

    if (!x || !y || x_len != alg->size || y_len != alg->size) {
        return NULL;
    }
    point[0] = 4; /* uncompressed */
    memcpy(point + 1, x, x_len);
    memcpy(point + 1 + x_len, y, y_len);
    build = OSSL_PARAM_BLD_new();
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, alg->curve, 0)
        && OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                            1 + x_len + y_len)) {
        pkey = pkey_build("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static EVP_PKEY *pkey_okp(apr_pool_t *p, const json_t *jwk)
{
    apr_size_t len;
    unsigned char *x = bytes(p, jwk, "x", &len);

    return x && len == 32 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, len) : NULL;
}

static const rs_jwt_alg_t *alg_of_curve(const char *kty, const char *crv)
{
    static const char *const names[] = {"ES256", "ES384", "ES512", "EdDSA"};
    apr_size_t i;

    for (i = 0; crv && i < RS_ARRAY_LEN(names); i++) {
        const rs_jwt_alg_t *alg = rs_jwt_alg_find(names[i]);

        if (strcmp(alg->jwk_curve, crv) == 0
            && strcmp(kty, alg->family == RS_ALG_ED ? "OKP" : "EC") == 0) {
            return alg;
        }
    }
    return NULL;
}

/* The usual algorithm of the key's type, or NULL for a type or curve that is not known. */
static const rs_jwt_alg_t *alg_of_type(const json_t *jwk)
{
    const char *kty = member(jwk, "kty");

    if (!kty) {
        return NULL;
    }
    if (strcmp(kty, "oct") == 0) {
        return rs_jwt_alg_find("HS256");
    }
    if (strcmp(kty, "RSA") == 0) {
        return rs_jwt_alg_find("RS256");
    }
    return alg_of_curve(kty, member(jwk, "crv"));
}

static int same_type(const rs_jwt_alg_t *a, const rs_jwt_alg_t *b)
{
    int a_rsa = a->family == RS_ALG_RSA || a->family == RS_ALG_PSS;
    int b_rsa = b->family == RS_ALG_RSA || b->family == RS_ALG_PSS;

    return a->family == RS_ALG_EC ? a == b : a->family == b->family || (a_rsa && b_rsa);
}

/* What the key is pinned to: what the administrator says, else what the JWK says, else the
 * default where it is of the key's type, else the usual one. NULL and a sentence if none. */
static const rs_jwt_alg_t *pin(const char **why, apr_pool_t *p, const json_t *jwk, const char *alg,
                               const char *default_alg)
{
    const rs_jwt_alg_t *usual = alg_of_type(jwk), *byname;
    const char *own = member(jwk, "alg"), *name = alg ? alg : own;

    if (!usual) {
        *why = "this JWK is of a kind that is not known here: give one with kty oct, RSA, EC "
               "(P-256, P-384, P-521) or OKP (Ed25519)";
        return NULL;
    }
    if (json_object_get(jwk, "alg") && !own) {
        *why = "the JWK's alg is not a string: export it again where it was made";
        return NULL;
    }
    if (alg && own && strcmp(alg, own) != 0) {
        *why = apr_psprintf(p, "the JWK says alg %.32s and the configuration %.32s: leave alg= out",
                            own, alg);
        return NULL;
    }
    byname = rs_jwt_alg_find(name ? name : default_alg);
    if (byname && same_type(usual, byname)) {
        return byname;
    }
    if (!name) {
        return usual;
    }
    *why = !byname ? rs_jwt_alg_unknown(p, name)
                   : apr_psprintf(p, "this JWK's key cannot be used with %s: write alg=%s", name,
                                  usual->name);
    return NULL;
}

static int for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;

    if (use && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0)) {
        return 0;
    }
    if (!ops) {
        return 1;
    }
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op)
            && (strcmp(json_string_value(op), "verify") == 0
                || strcmp(json_string_value(op), "sign") == 0)) {
            return 1;
        }
    }
    return 0;
}

static const char *key_of_jwk(rs_jwt_key_t **key, apr_pool_t *p, const json_t *jwk, const char *alg,
                              const char *default_alg, const char *kid)
{
    const char *why = NULL, *own = member(jwk, "kid");
    const rs_jwt_alg_t *pinned = pin(&why, p, jwk, alg, default_alg);
    EVP_PKEY *pkey;

    if (!pinned) {
        return why;
    }
    if ((json_object_get(jwk, "kid") && !own) || (own && strlen(own) > RS_JWT_KID_MAX)) {
        return "the JWK's kid is not a string of at most 256 characters: write a shorter one";
    }
    kid = kid ? kid : own;
    if (pinned->family == RS_ALG_HMAC) {
        apr_size_t len;
        unsigned char *k = bytes(p, jwk, "k", &len);

        return k ? rs_jwt_key_of_secret(key, p, pinned, kid, k, len)
                 : "the JWK's k is missing or not base64url: export it again where it was made";
    }
    ERR_set_mark();
    pkey = pinned->family == RS_ALG_EC   ? pkey_ec(p, jwk, pinned)
           : pinned->family == RS_ALG_ED ? pkey_okp(p, jwk)
                                         : pkey_rsa(p, jwk);
    ERR_pop_to_mark();
    if (!pkey) {
        return "the JWK's numbers are missing, not base64url or no key of its type: export it "
               "again where it was made";
    }
    if (json_object_get(jwk, "d")) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0352) "a JWK holds a private key, of which only the public half is needed "
                             "here: give it without d, p, q, dp, dq and qi");
    }
    return rs_jwt_key_of_pkey(key, p, pinned, kid, pkey);
}

const char *rs_jwk_read(rs_jwt_key_t **key, apr_pool_t *p, const char *alg, const char *default_alg,
                        const char *kid, const char *json, apr_size_t len)
{
    json_t *jwk = load(json, len);
    const char *why;

    if (!jwk) {
        return "this is not a JWK: write a JSON object with kty";
    }
    why = for_signatures(jwk) ? key_of_jwk(key, p, jwk, alg, default_alg, kid)
                              : "this JWK is not for signatures (use, key_ops): give the one with "
                                "use sig";
    json_decref(jwk);
    return why;
}

static const char *add_set(apr_array_header_t *keys, apr_pool_t *p, const json_t *set,
                           const char *default_alg)
{
    const json_t *jwk;
    const char *why, *own;
    rs_jwt_key_t *key = NULL;
    size_t i;

    if (json_array_size(set) > JWK_SET_MAX) {
        return "this set has more than 100 JWKs: leave out those that sign no token any more";
    }
    json_array_foreach(set, i, jwk)
    {
        own = member(jwk, "alg");
        if (!json_is_object(jwk) || !for_signatures(jwk) || !alg_of_type(jwk)
            || (own && !rs_jwt_alg_find(own))) {
            continue;
        }
        why = key_of_jwk(&key, p, jwk, NULL, default_alg, NULL);
        if (why) {
            return apr_psprintf(p, "JWK number %d of the set: %s", (int)i + 1, why);
        }
        APR_ARRAY_PUSH(keys, rs_jwt_key_t *) = key;
    }
    return NULL;
}

const char *rs_jwk_set_read(apr_array_header_t *keys, apr_pool_t *p, const char *default_alg,
                            const char *json, apr_size_t len)
{
    json_t *root = load(json, len);
    int before = keys->nelts;
    const char *why = add_set(keys, p, json_object_get(root, "keys"), default_alg);

    json_decref(root);
    if (why) {
        keys->nelts = before;
    }
    else if (keys->nelts == before) {
        why = "this set holds no key for signatures that can be used here: it needs one with kty "
              "oct, RSA, EC or OKP and no use other than sig";
    }
    return why;
}
