/* SPDX-License-Identifier: Apache-2.0
 *
 * The algorithms of RFC 7518 and RFC 8037 that a key may be pinned to. There is no "none", and
 * nothing can add it. Pure functions.
 */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "rs_jwt_private.h"

static const rs_jwt_alg_t algs[] = {
    {"HS256", RS_ALG_HMAC, "SHA256", 32, NULL, NULL},
    {"HS384", RS_ALG_HMAC, "SHA384", 48, NULL, NULL},
    {"HS512", RS_ALG_HMAC, "SHA512", 64, NULL, NULL},
    {"RS256", RS_ALG_RSA, "SHA256", 0, NULL, NULL},
    {"RS384", RS_ALG_RSA, "SHA384", 0, NULL, NULL},
    {"RS512", RS_ALG_RSA, "SHA512", 0, NULL, NULL},
    {"PS256", RS_ALG_PSS, "SHA256", 0, NULL, NULL},
    {"PS384", RS_ALG_PSS, "SHA384", 0, NULL, NULL},
    {"PS512", RS_ALG_PSS, "SHA512", 0, NULL, NULL},
    {"ES256", RS_ALG_EC, "SHA256", 32, "prime256v1", "P-256"},
    {"ES384", RS_ALG_EC, "SHA384", 48, "secp384r1", "P-384"},
    {"ES512", RS_ALG_EC, "SHA512", 66, "secp521r1", "P-521"},
    {"EdDSA", RS_ALG_ED, NULL, 0, NULL, "Ed25519"},
};

const rs_jwt_alg_t *rs_jwt_alg_find(const char *name)
{
    apr_size_t i;

    for (i = 0; name && i < RS_ARRAY_LEN(algs); i++) {
        if (strcmp(algs[i].name, name) == 0) {
            return &algs[i];
        }
    }
    return NULL;
}

int rs_jwt_alg_known(const char *name)
{
    return rs_jwt_alg_find(name) != NULL;
}

int rs_jwt_alg_fits(const rs_jwt_alg_t *alg, const EVP_PKEY *pkey)
{
    char curve[64];

    switch (alg->family) {
    case RS_ALG_RSA:
        return EVP_PKEY_is_a(pkey, "RSA");
    case RS_ALG_PSS:
        return EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS");
    case RS_ALG_EC:
        return EVP_PKEY_is_a(pkey, "EC")
               && EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL)
               && strcmp(curve, alg->curve) == 0;
    case RS_ALG_ED:
        return EVP_PKEY_is_a(pkey, "ED25519");
    case RS_ALG_HMAC:
        break;
    }
    return 0;
}

const rs_jwt_alg_t *rs_jwt_alg_usual(const EVP_PKEY *pkey)
{
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(algs); i++) {
        if (rs_jwt_alg_fits(&algs[i], pkey)) {
            return &algs[i];
        }
    }
    return NULL;
}

const char *rs_jwt_pkey_noun(const EVP_PKEY *pkey)
{
    const rs_jwt_alg_t *alg = rs_jwt_alg_usual(pkey);

    if (!alg) {
        return "a key of a kind that no JWT algorithm here uses";
    }
    switch (alg->family) {
    case RS_ALG_RSA:
        return "an RSA key";
    case RS_ALG_PSS:
        return "an RSA-PSS key";
    case RS_ALG_EC:
        return alg->size == 32   ? "a key on the curve P-256"
               : alg->size == 48 ? "a key on the curve P-384"
                                 : "a key on the curve P-521";
    default:
        return "an Ed25519 key";
    }
}

const char *rs_jwt_alg_unknown(apr_pool_t *p, const char *name)
{
    apr_size_t i;

    if (apr_cstr_casecmp(name, "none") == 0) {
        return "the algorithm none would let everybody in: write HS256 with a secret, or RS256 or "
               "ES256 with a public key";
    }
    for (i = 0; i < RS_ARRAY_LEN(algs); i++) {
        if (apr_cstr_casecmp(name, algs[i].name) == 0) {
            return apr_psprintf(p, "the algorithm %s is written %s", name, algs[i].name);
        }
    }
    return apr_psprintf(p, "the algorithm %.32s is not known: write one of HS256, HS384, HS512, "
                        "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
                        name);
}
