/* SPDX-License-Identifier: Apache-2.0
 *
 * A key that is checked once and then constant: the algorithm is pinned here, and what does not fit
 * it is refused here, not at the first token. Start-up only (one thread).
 */
#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "rs_jwt_private.h"

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

const char *rs_jwt_key_alg(const rs_jwt_key_t *key) { return key->alg->name; }

const char *rs_jwt_key_kid(const rs_jwt_key_t *key) { return key->kid; }
