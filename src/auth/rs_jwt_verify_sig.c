/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a signature is a key's. Any thread: keys are constant. Which key and which algorithm has
 * been decided before; nothing of the token is asked here. OpenSSL's error queue is left as it
 * was, since mod_ssl reads it for its own connections on the same thread.
 */
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "rs_jwt_private.h"

static int hmac_good(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts)
{
    const EVP_MD *md = key->alg->size == 32   ? EVP_sha256()
                       : key->alg->size == 48 ? EVP_sha384()
                                              : EVP_sha512();
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    return HMAC(md, key->secret, (int)key->secret_len, (const unsigned char *)parts->token,
                parts->signed_len, mac, &len)
           && len == key->alg->size && parts->sig_len == len
           && CRYPTO_memcmp(mac, parts->sig, len) == 0;
}

/* JWS has r and s side by side in full length, OpenSSL wants DER. */
static int ecdsa_der(unsigned char **der, const rs_jwt_key_t *key, const rs_jwt_parts_t *parts)
{
    int n = (int)key->alg->size, len = -1;
    ECDSA_SIG *pair;
    BIGNUM *r, *s;

    if (parts->sig_len != 2 * key->alg->size) {
        return -1;
    }
    pair = ECDSA_SIG_new();
    r = BN_bin2bn(parts->sig, n, NULL);
    s = BN_bin2bn(parts->sig + n, n, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s)) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(pair, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len;
}

static int digest_good(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts,
                       const unsigned char *sig, apr_size_t sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL; /* ctx's */
    int good;

    good = ctx
           && EVP_DigestVerifyInit_ex(ctx, &pctx, key->alg->md, NULL, NULL, key->pkey, NULL) == 1;
    if (good && key->alg->family == RS_ALG_PSS) {
        good = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0
               && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0;
    }
    good = good
           && EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)parts->token,
                               parts->signed_len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static int public_good(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts)
{
    unsigned char *der = NULL;
    int len, good;

    if (key->alg->family == RS_ALG_EC) {
        len = ecdsa_der(&der, key, parts);
        good = len > 0 && digest_good(key, parts, der, (apr_size_t)len);
        OPENSSL_free(der);
        return good;
    }
    len = EVP_PKEY_get_size(key->pkey);
    return len > 0 && parts->sig_len == (apr_size_t)len
           && digest_good(key, parts, parts->sig, parts->sig_len);
}

int rs_jwt_sig_good(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts)
{
    int good;

    ERR_set_mark();
    good = key->alg->family == RS_ALG_HMAC ? hmac_good(key, parts) : public_good(key, parts);
    ERR_pop_to_mark();
    return good;
}
