/* SPDX-License-Identifier: Apache-2.0
 *
 * The public key in a PEM. Start-up only. The blocks are taken one by one by their names, so that
 * OpenSSL never gets to the point of asking a terminal for a passphrase. A private key is accepted
 * since people have it at hand, but only its public half is kept: a web server that checks
 * signatures has no use for the other, and whoever reads its memory would.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "../base/rs_log.h"
#include "rs_jwt_private.h"

static int holds(const char *s, apr_size_t len, const char *what)
{
    apr_size_t n = strlen(what), i;

    for (i = 0; i + n <= len; i++) {
        if (memcmp(s + i, what, n) == 0) {
            return 1;
        }
    }
    return 0;
}

int rs_jwt_is_pem(const char *s, apr_size_t len) { return holds(s, len, "-----BEGIN "); }

int rs_jwt_pem_is_secret(const char *s, apr_size_t len)
{
    return holds(s, len, "PRIVATE KEY-----");
}

static EVP_PKEY *public_of_der(const unsigned char *der, long len)
{
    const unsigned char *at = der;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, len);
    X509 *cert;

    if (pkey && at == der + len) {
        return pkey;
    }
    EVP_PKEY_free(pkey);
    at = der;
    cert = d2i_X509(NULL, &at, len);
    pkey = cert && at == der + len ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    return pkey;
}

int rs_jwt_is_bare_public(const char *s, apr_size_t len)
{
    unsigned char der[8192];
    EVP_ENCODE_CTX *ctx;
    EVP_PKEY *pkey;
    int n = 0, end = 0;

    if (len == 0 || len > sizeof(der)) {
        return 0;
    }
    ERR_set_mark();
    pkey = public_of_der((const unsigned char *)s, (long)len);
    if (!pkey && (ctx = EVP_ENCODE_CTX_new()) != NULL) {
        EVP_DecodeInit(ctx);
        if (EVP_DecodeUpdate(ctx, der, &n, (const unsigned char *)s, (int)len) >= 0
            && EVP_DecodeFinal(ctx, der + n, &end) >= 0 && n + end > 0) {
            pkey = public_of_der(der, n + end);
        }
        EVP_ENCODE_CTX_free(ctx);
    }
    ERR_pop_to_mark();
    OPENSSL_cleanse(der, sizeof(der));
    EVP_PKEY_free(pkey);
    return pkey != NULL;
}

static EVP_PKEY *public_half(EVP_PKEY *whole)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    EVP_PKEY *half = NULL;
    int len = i2d_PUBKEY(whole, &der);

    if (len > 0) {
        at = der;
        half = d2i_PUBKEY(NULL, &at, len);
    }
    OPENSSL_free(der);
    EVP_PKEY_free(whole);
    return half;
}

static int ends_in(const char *s, const char *end)
{
    apr_size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The key of one block, or NULL; *why is set where the block's name says what is wrong. */
static EVP_PKEY *block_read(const char *name, const char *header, const unsigned char *der,
                            long len, const char **why)
{
    const unsigned char *at = der;
    EVP_PKEY *pkey = NULL;

    if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
        pkey = d2i_PUBKEY(NULL, &at, len);
    }
    else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0) {
        pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, len);
    }
    else if (ends_in(name, "CERTIFICATE")) {
        X509 *cert = strcmp(name, PEM_STRING_X509_TRUSTED) == 0 ? d2i_X509_AUX(NULL, &at, len)
                                                                : d2i_X509(NULL, &at, len);

        pkey = cert ? X509_get_pubkey(cert) : NULL;
        X509_free(cert);
    }
    else if (strcmp(name, PEM_STRING_PKCS8) == 0 || strstr(header, "ENCRYPTED")) {
        *why = "the private key is encrypted: give the public key instead, from: "
               "openssl pkey -in key.pem -pubout";
    }
    else if (strcmp(name, "OPENSSH PRIVATE KEY") == 0) {
        *why = "an OpenSSH private key cannot be used: give a public key in PEM, from: "
               "ssh-keygen -e -m PKCS8 -f key";
    }
    else if (ends_in(name, "PRIVATE KEY")) {
        pkey = d2i_AutoPrivateKey(NULL, &at, len);
        if (pkey) {
            pkey = public_half(pkey);
            rs_log(RS_LOG_WARNING, 0,
                   RSLOGNO(0351) "a JWT key is a private key, of which only the public half is "
                                 "needed here: give that alone, from: "
                                 "openssl pkey -in key.pem -pubout");
        }
    }
    return pkey;
}

EVP_PKEY *rs_jwt_pem_read(const char *pem, apr_size_t len, const char **why)
{
    BIO *bio = NULL;
    EVP_PKEY *pkey = NULL;
    char *name, *header;
    unsigned char *der;
    long der_len;

    *why = NULL;
    ERR_set_mark();
    bio = len <= 1024 * 1024 ? BIO_new_mem_buf(pem, (int)len) : NULL;
    while (bio && !pkey && !*why && PEM_read_bio(bio, &name, &header, &der, &der_len)) {
        pkey = block_read(name, header, der, der_len, why);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)der_len);
    }
    BIO_free(bio);
    ERR_pop_to_mark();
    if (!pkey && !*why) {
        *why = "there is no readable key in this PEM: give a public key "
               "(-----BEGIN PUBLIC KEY-----) or a certificate";
    }
    return pkey;
}
