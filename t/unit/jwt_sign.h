/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes keys and tokens for the tests, right ones and wrong ones: what is signed, with what, is
 * the test's choice and need not be what the header says. Independent of the code under test.
 */
#ifndef JWT_SIGN_H
#define JWT_SIGN_H

#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>
#include <apr_strings.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static inline char *b64url(apr_pool_t *p, const void *data, size_t len)
{
    char *out = apr_palloc(p, len * 4 / 3 + 8);
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

static inline const EVP_MD *sign_md(const char *alg)
{
    return strstr(alg, "256") ? EVP_sha256() : strstr(alg, "384") ? EVP_sha384() : EVP_sha512();
}

static inline char *sign_hmac(apr_pool_t *p, const char *alg, const char *text, const void *key,
                              size_t key_len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len;

    HMAC(sign_md(alg), key, (int)key_len, (const unsigned char *)text, strlen(text), mac, &len);
    return b64url(p, mac, len);
}

/* The bytes of a JWS signature: ECDSA as r and s. */
static inline unsigned char *sign_raw(apr_pool_t *p, const char *alg, const char *text,
                                      EVP_PKEY *pkey, size_t *len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    unsigned char *sig, *raw;
    const unsigned char *at;
    ECDSA_SIG *pair;
    int n = alg[2] == '2' ? 32 : alg[2] == '3' ? 48 : 66;

    if (EVP_DigestSignInit(ctx, &pctx, alg[1] == 'd' ? NULL : sign_md(alg), NULL, pkey) != 1) {
        abort();
    }
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }
    EVP_DigestSign(ctx, NULL, len, (const unsigned char *)text, strlen(text));
    sig = apr_palloc(p, *len);
    if (EVP_DigestSign(ctx, sig, len, (const unsigned char *)text, strlen(text)) != 1) {
        abort();
    }
    EVP_MD_CTX_free(ctx);
    if (alg[0] != 'E' || alg[1] != 'S') {
        return sig;
    }
    at = sig;
    pair = d2i_ECDSA_SIG(NULL, &at, (long)*len);
    raw = apr_palloc(p, (apr_size_t)n * 2);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, n);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + n, n);
    ECDSA_SIG_free(pair);
    *len = (size_t)n * 2;
    return raw;
}

static inline char *token_text(apr_pool_t *p, const char *header, const char *claims)
{
    return apr_pstrcat(p, b64url(p, header, strlen(header)), ".",
                       b64url(p, claims, strlen(claims)), NULL);
}

static inline char *token_hmac(apr_pool_t *p, const char *alg, const char *header,
                               const char *claims, const void *key, size_t key_len)
{
    char *text = token_text(p, header, claims);

    return apr_pstrcat(p, text, ".", sign_hmac(p, alg, text, key, key_len), NULL);
}

static inline char *token_pkey(apr_pool_t *p, const char *alg, const char *header,
                               const char *claims, EVP_PKEY *pkey)
{
    char *text = token_text(p, header, claims);
    size_t len;
    unsigned char *sig = sign_raw(p, alg, text, pkey, &len);

    return apr_pstrcat(p, text, ".", b64url(p, sig, len), NULL);
}

/* The private key for an algorithm, made once in a run. */
static inline EVP_PKEY *pkey_for(const char *alg)
{
    static EVP_PKEY *made[5];
    int i = alg[0] != 'E' ? 0 : alg[1] == 'd' ? 4 : alg[2] == '2' ? 1 : alg[2] == '3' ? 2 : 3;

    if (!made[i]) {
        made[i] = i == 0   ? EVP_RSA_gen(2048)
                  : i == 4 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                           : EVP_EC_gen(i == 1 ? "P-256" : i == 2 ? "P-384" : "P-521");
    }
    return made[i];
}

static inline char *bio_text(apr_pool_t *p, BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = apr_pstrmemdup(p, data, (apr_size_t)len);

    BIO_free(bio);
    return text;
}

static inline char *pem_public(apr_pool_t *p, EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PUBKEY(bio, pkey);
    return bio_text(p, bio);
}

static inline char *pem_private(apr_pool_t *p, EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, cipher ? "passphrase" : NULL,
                                  cipher ? 10 : 0, NULL, NULL);
    return bio_text(p, bio);
}

#endif
