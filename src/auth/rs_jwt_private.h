/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the token code share and nobody else sees.
 */
#ifndef RS_JWT_PRIVATE_H
#define RS_JWT_PRIVATE_H

#include <openssl/evp.h>

#include "rs_jwt.h"

/* JSON of a token or a JWK may nest so deep; counted before a parser that recurses sees it. */
#define RS_JWT_DEPTH_MAX 16
#define RS_JWT_HEADER_MAX 4096 /* decoded: room for an x5c chain that nobody reads */
#define RS_JWT_TRIES_MAX 16    /* keys tried for one token */
#define RS_JWT_KID_MAX 256
#define RS_JWT_DIGEST_LEN 32

typedef enum { RS_ALG_HMAC, RS_ALG_RSA, RS_ALG_PSS, RS_ALG_EC, RS_ALG_ED } rs_alg_family_t;

typedef struct {
    const char *name;
    rs_alg_family_t family;
    const char *md;        /* OpenSSL's name; NULL where the key implies it */
    apr_size_t size;       /* HMAC: the hash, and the least a secret may have; EC: r, and s */
    const char *curve;     /* EC: OpenSSL's name */
    const char *jwk_curve; /* EC and EdDSA: `crv` */
} rs_jwt_alg_t;

struct rs_jwt_key_t {
    const rs_jwt_alg_t *alg;
    const char *kid;
    unsigned char *secret; /* HMAC */
    apr_size_t secret_len;
    EVP_PKEY *pkey;                      /* all others: a public key */
    unsigned char id[RS_JWT_DIGEST_LEN]; /* of a public key and its algorithm */
};

/* A token taken apart; decoded parts are in the pool and end in a NUL. */
typedef struct {
    const char *token; /* NUL-terminated copy */
    apr_size_t token_len;
    apr_size_t signed_len;
    unsigned char *header;
    apr_size_t header_len;
    unsigned char *payload;
    apr_size_t payload_len;
    unsigned char *sig;
    apr_size_t sig_len;
} rs_jwt_parts_t;

typedef struct {
    const char *alg;
    const char *kid; /* NULL: none */
    int plain_typ;   /* no `typ`, or "JWT" */
} rs_jwt_header_t;

/* rs_jwt_alg.c: NULL when there is none. */
const rs_jwt_alg_t *rs_jwt_alg_find(const char *name);
/* The usual one for this public key, or NULL. */
const rs_jwt_alg_t *rs_jwt_alg_usual(const EVP_PKEY *pkey);
int rs_jwt_alg_fits(const rs_jwt_alg_t *alg, const EVP_PKEY *pkey);
/* "an RSA key" */
const char *rs_jwt_pkey_noun(const EVP_PKEY *pkey);
/* A sentence for an unknown name. */
const char *rs_jwt_alg_unknown(apr_pool_t *p, const char *name);

/* rs_jwt_key.c: sentences as rs_jwt_key_create(); `pkey` is taken over in any case. */
const char *rs_jwt_key_of_secret(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                                 const char *kid, const unsigned char *secret, apr_size_t len);
const char *rs_jwt_key_of_pkey(rs_jwt_key_t **key, apr_pool_t *p, const rs_jwt_alg_t *alg,
                               const char *kid, EVP_PKEY *pkey);

/* rs_jwt_pem.c: the public key in a PEM, or NULL and a sentence. */
EVP_PKEY *rs_jwt_pem_read(const char *pem, apr_size_t len, const char **why);
int rs_jwt_is_pem(const char *s, apr_size_t len);
/* A PEM with a private key in it. */
int rs_jwt_pem_is_secret(const char *s, apr_size_t len);
/* A public key without PEM's lines around it: DER, or base64 of it. */
int rs_jwt_is_bare_public(const char *s, apr_size_t len);

/* rs_jwt_secret.c: NULL, or why this must not be an HMAC secret. */
const char *rs_jwt_secret_check(apr_pool_t *p, const rs_jwt_alg_t *alg, const char *secret,
                                apr_size_t len);

/* rs_jwks.c */
typedef enum { RS_JWK_NONE, RS_JWK_ONE, RS_JWK_SET, RS_JWK_BROKEN } rs_jwk_kind_t;
/* Whether a JWK, or one of a set, has what only its owner may have. */
int rs_jwk_is_secret(const char *s, apr_size_t len);
/* BROKEN: meant to be JSON, and must never be taken for a secret. */
rs_jwk_kind_t rs_jwk_kind(const char *s, apr_size_t len);
const char *rs_jwk_read(rs_jwt_key_t **key, apr_pool_t *p, const char *alg, const char *default_alg,
                        const char *kid, const char *json, apr_size_t len);
/* Of a set: appends all that are for signatures, or none and a sentence. */
const char *rs_jwk_set_read(apr_array_header_t *keys, apr_pool_t *p, const char *default_alg,
                            const char *json, apr_size_t len);

/* rs_jwt_parse.c: 1, or 0 for what is not canonical unpadded base64url or decodes to nothing.
 * `out` has room for n * 3 / 4 + 1 bytes. */
int rs_base64url_decode(unsigned char *out, apr_size_t *out_len, const char *in, apr_size_t n);
/* What a part of the token is, an object in which no name comes twice and every name is text: NULL,
 * or the reason, which begins with `what`. */
const char *rs_jwt_object(rs_json_t *object, apr_pool_t *p, const char *what,
                          const unsigned char *data, apr_size_t len);
/* NULL or the reason. */
const char *rs_jwt_split(rs_jwt_parts_t *parts, apr_pool_t *p, const char *token, apr_size_t len);
const char *rs_jwt_header_read(rs_jwt_header_t *header, apr_pool_t *p, const rs_jwt_parts_t *parts);

/* rs_jwt_verify_sig.c: 1 if the signature is `key`'s. The caller has compared the algorithm. */
int rs_jwt_sig_good(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts);

/* rs_jwt_libjwt.c: 1 if libjwt, given this HMAC key, takes the token too, or cannot read it. */
int rs_jwt_libjwt_agrees(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts);

/* rs_jwt_cache.c: any thread. The name is 0 if OpenSSL has no memory. */
int rs_jwt_cache_name(unsigned char name[RS_JWT_DIGEST_LEN], const rs_jwt_key_t *key,
                      const rs_jwt_parts_t *parts);
int rs_jwt_cache_has(rs_jwt_cache_t *cache, const unsigned char *name, apr_time_t now);
void rs_jwt_cache_put(rs_jwt_cache_t *cache, const unsigned char *name, apr_time_t now);

#endif
