/* SPDX-License-Identifier: Apache-2.0
 *
 * From what an administrator wrote, a secret, a PEM, a JWK or a set of them, to keys. Start-up only
 * (one thread). What a key has to be is in rs_jwt_key.c.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_utf8.h"
#include "rs_jwt_private.h"

#define MATERIAL_MAX (1024 * 1024)

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

static const char *add_key(apr_array_header_t *keys, apr_pool_t *p, const char *alg,
                           const char *default_alg, const char *kid, const char *material,
                           apr_size_t len)
{
    rs_jwt_key_t *key;
    const char *why = rs_jwt_key_create(&key, p, alg, default_alg, kid, material, len);

    if (!why) {
        APR_ARRAY_PUSH(keys, rs_jwt_key_t *) = key;
    }
    return why;
}

const char *rs_jwt_jwks_load(apr_array_header_t *keys, apr_pool_t *p, const char *default_alg,
                             const char *json, apr_size_t len)
{
    return rs_jwk_kind(json, len) == RS_JWK_SET
               ? rs_jwk_set_read(keys, p, default_alg, json, len)
               : add_key(keys, p, NULL, default_alg, NULL, json, len);
}

const char *rs_jwt_keys_add(apr_array_header_t *keys, apr_pool_t *p, const char *alg,
                            const char *default_alg, const char *kid, const char *material,
                            apr_size_t len)
{
    if (material && len <= MATERIAL_MAX && rs_jwk_kind(material, len) == RS_JWK_SET) {
        if (alg || kid) {
            return "alg= and kid= name one key, and this is a set of JWKs that name their own: "
                   "leave them out";
        }
        return rs_jwk_set_read(keys, p, default_alg, material, len);
    }
    return add_key(keys, p, alg, default_alg, kid, material, len);
}

int rs_jwt_is_public(const char *material, apr_size_t len)
{
    if (rs_jwt_is_pem(material, len)) {
        return !rs_jwt_pem_is_secret(material, len);
    }
    return rs_jwk_kind(material, len) != RS_JWK_NONE && !rs_jwk_is_secret(material, len);
}
