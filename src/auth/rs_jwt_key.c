/* SPDX-License-Identifier: Apache-2.0
 *
 * From what an administrator wrote to a key that is checked once and then constant: the algorithm
 * is pinned here, and what does not fit it is refused here, not at the first token. Start-up only
 * (one thread). Reading JWKs is rs_jwks.c, reading PEMs rs_jwt_pem.c.
 */
#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "../base/rs_utf8.h"
#include "rs_jwt_private.h"

#define MATERIAL_MAX (1024 * 1024)
#define RSA_BITS_MAX 8192 /* a check of more takes its time with each token */

static apr_status_t pkey_cleanup(void *data)
{
    EVP_PKEY_free(data);
    return APR_SUCCESS;
}

static apr_status_t secret_cleanup(void *data)
{
    rs_jwt_key_t *key = data;

    OPENSSL_cleanse(key->secret, key->secret_len);
    return APR_SUCCESS;
}

static rs_jwt_key_t *key_alloc(apr_pool_t *p, const rs_jwt_alg_t *alg, const char *kid)
{
    rs_jwt_key_t *key = apr_pcalloc(p, sizeof(*key));

    key->alg = alg;
    key->kid = kid ? apr_pstrdup(p, kid) : NULL;
    return key;
}

const char *rs_jwt_key_of_secret(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                                 const char *kid, const unsigned char *secret, apr_size_t len)
{
    const char *why = rs_jwt_secret_check(p, alg, (const char *)secret, len);

    if (why) {
        return why;
    }
    *key = key_alloc(p, alg, kid);
    (*key)->secret = apr_pmemdup(p, secret, len);
    (*key)->secret_len = len;
    apr_pool_cleanup_register(p, *key, secret_cleanup, apr_pool_cleanup_null);
    return NULL;
}

/* Not only a sound encoding: RSA with the exponent 1, a point off the curve and their like would
 * make signatures that anybody can compute. */
static int pkey_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    int good = ctx && EVP_PKEY_public_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

static int pkey_digest(unsigned char id[RS_JWT_DIGEST_LEN], EVP_PKEY *pkey, const char *alg)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = len > 0 && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)
               && EVP_DigestUpdate(ctx, alg, strlen(alg) + 1)
               && EVP_DigestUpdate(ctx, der, (size_t)len) && EVP_DigestFinal_ex(ctx, id, NULL);

    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return good;
}

static const char *pkey_refused(apr_pool_t *p, const rs_jwt_alg_t *alg, EVP_PKEY *pkey)
{
    const rs_jwt_alg_t *usual = rs_jwt_alg_usual(pkey);
    int bits = EVP_PKEY_get_bits(pkey);

    if (!rs_jwt_alg_fits(alg, pkey)) {
        return apr_psprintf(p, "this is %s, which %s cannot use: %s%s", rs_jwt_pkey_noun(pkey),
                            alg->name,
                            usual ? "write alg="
                                  : "give an RSA key, a key on P-256, P-384 or "
                                    "P-521, or an Ed25519 key",
                            usual ? usual->name : "");
    }
    if ((alg->family == RS_ALG_RSA || alg->family == RS_ALG_PSS)
        && (bits < 2048 || bits > RSA_BITS_MAX)) {
        return apr_psprintf(p,
                            "this RSA key has %d bits: make one of 2048 to %d, with: openssl "
                            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
                            bits, RSA_BITS_MAX);
    }
    if (!pkey_sound(pkey)) {
        return "this key is not a sound public key (OpenSSL's check of its numbers fails): "
               "export it again where it was made";
    }
    return NULL;
}

const char *rs_jwt_key_of_pkey(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                               const char *kid, EVP_PKEY *pkey)
{
    rs_jwt_key_t *made = key_alloc(p, alg, kid);
    const char *why;

    made->pkey = pkey;
    apr_pool_cleanup_register(p, pkey, pkey_cleanup, apr_pool_cleanup_null);
    ERR_set_mark();
    why = pkey_refused(p, alg, pkey);
    if (!why && !pkey_digest(made->id, pkey, alg->name)) {
        why = "OpenSSL cannot write this key: export it again where it was made";
    }
    ERR_pop_to_mark();
    if (!why) {
        *key = made;
    }
    return why;
}

static const char *key_of_pem(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                              const char *kid, const char *material, apr_size_t len)
{
    const char *why;
    EVP_PKEY *pkey = rs_jwt_pem_read(material, len, &why);

    return pkey ? rs_jwt_key_of_pkey(key, p, alg, kid, pkey) : why;
}

static const char *pem_for_hmac(apr_pool_t *p, const rs_jwt_alg_t *alg, const char *material,
                                apr_size_t len)
{
    const char *why;
    EVP_PKEY *pkey = rs_jwt_pem_read(material, len, &why);
    const rs_jwt_alg_t *usual = pkey ? rs_jwt_alg_usual(pkey) : NULL;

    why = apr_psprintf(p, "this is %s in PEM, and %s takes a secret: write alg=%s after it",
                       pkey ? rs_jwt_pkey_noun(pkey) : "something", alg->name,
                       usual ? usual->name : "RS256 (or what the key is for)");
    EVP_PKEY_free(pkey);
    return why;
}

static const char *key_of_text(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                               const char *kid, const char *material, apr_size_t len)
{
    int pem = rs_jwt_is_pem(material, len);

    if (alg->family != RS_ALG_HMAC) {
        if (!pem) {
            return apr_psprintf(p,
                                "%s takes a public key in PEM (-----BEGIN PUBLIC KEY-----), a "
                                "certificate or a JWK, and this is none of them%s",
                                alg->name,
                                rs_jwt_is_bare_public(material, len)
                                    ? ": it is a bare public key, put the lines -----BEGIN PUBLIC "
                                      "KEY----- and -----END PUBLIC KEY----- around its base64"
                                    : "");
        }
        return key_of_pem(key, p, alg, kid, material, len);
    }
    if (pem) {
        return pem_for_hmac(p, alg, material, len);
    }
    return rs_jwt_key_of_secret(key, p, alg, kid, (const unsigned char *)material, len);
}

const char *rs_jwt_key_create(rs_jwt_key_t **key, apr_pool_t *p, const char *alg,
                              const char *default_alg, const char *kid, const char *material,
                              apr_size_t len)
{
    const char *name = alg ? alg : default_alg ? default_alg : "HS256";
    const rs_jwt_alg_t *pinned = rs_jwt_alg_find(name);

    *key = NULL;
    if (!pinned) {
        return rs_jwt_alg_unknown(p, name);
    }
    if (kid && (!*kid || strlen(kid) > RS_JWT_KID_MAX || !rs_utf8_valid(kid, strlen(kid)))) {
        return "kid= is empty, longer than 256 bytes or not UTF-8: write the key id as the tokens "
               "have it, or leave kid= out";
    }
    if (!material || len == 0) {
        return "the key is empty: give a secret (openssl rand -hex 32 makes one) or a public key "
               "in PEM";
    }
    if (len > MATERIAL_MAX) {
        return "the key is longer than 1 MiB: give one secret, one PEM or one set of JWKs";
    }
    switch (rs_jwk_kind(material, len)) {
    case RS_JWK_ONE:
        return rs_jwk_read(key, p, alg, default_alg, kid, material, len);
    case RS_JWK_SET:
        return "this is a set of JWKs where one key is wanted: give one JWK of it";
    case RS_JWK_BROKEN:
        return "this is JSON, but no JWK: write an object with kty, or a set with keys (a secret "
               "must not be a JSON object)";
    case RS_JWK_NONE:
        break;
    }
    return key_of_text(key, p, pinned, kid, material, len);
}

const char *rs_jwt_keys_add(apr_array_header_t *keys, apr_pool_t *p, const char *alg,
                            const char *default_alg, const char *kid, const char *material,
                            apr_size_t len)
{
    rs_jwt_key_t *key;
    const char *why;

    if (material && len <= MATERIAL_MAX && rs_jwk_kind(material, len) == RS_JWK_SET) {
        if (alg || kid) {
            return "alg= and kid= name one key, and this is a set of JWKs that name their own: "
                   "leave them out";
        }
        return rs_jwt_jwks_load(keys, p, default_alg, material, len);
    }
    why = rs_jwt_key_create(&key, p, alg, default_alg, kid, material, len);
    if (!why) {
        APR_ARRAY_PUSH(keys, rs_jwt_key_t *) = key;
    }
    return why;
}

int rs_jwt_is_public(const char *material, apr_size_t len)
{
    if (rs_jwt_is_pem(material, len)) {
        return !rs_jwt_pem_is_secret(material, len);
    }
    return rs_jwk_kind(material, len) != RS_JWK_NONE && !rs_jwk_is_secret(material, len);
}

const char *rs_jwt_key_alg(const rs_jwt_key_t *key) { return key->alg->name; }

const char *rs_jwt_key_kid(const rs_jwt_key_t *key) { return key->kid; }
