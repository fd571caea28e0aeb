/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Web Tokens: what the rest of the module knows of them. Keys are made while httpd reads its
 * configuration (one thread) and are constant from then on; rs_jwt_verify() may be called by any
 * thread with its own pool.
 */
#ifndef RS_JWT_H
#define RS_JWT_H

#include <apr_tables.h>

#include "../base/rs_json.h"

/* A longer token is refused before anything of it is looked at. */
#define RS_JWT_TOKEN_MAX 8192

/* One key with the one algorithm it may be used with. */
typedef struct rs_jwt_key_t rs_jwt_key_t;

/* Remembers for a minute which signatures were right, so that a token that comes again (a page
 * with three streams, a publisher, a reconnect) costs no second RSA or ECDSA operation. */
typedef struct rs_jwt_cache_t rs_jwt_cache_t;

/* RaglineJWTRequire: the claim (a path as in rs_claim_find()) is this text, this integer, this
 * boolean, or an array with such an element. */
typedef struct {
    const char *claim;
    const char *value;
} rs_jwt_require_t;

typedef struct {
    const apr_array_header_t *keys;    /* of rs_jwt_key_t *; none: every token is refused */
    const apr_array_header_t *require; /* of rs_jwt_require_t; may be NULL */
    apr_interval_time_t leeway;
    rs_jwt_cache_t *cache; /* may be NULL */
} rs_jwt_policy_t;

typedef struct {
    rs_json_t claims;   /* an object, in the pool */
    apr_time_t expires; /* the first moment at which the token is refused, `exp` and the leeway;
                         * 0: a token without `exp` */
    apr_interval_time_t lives; /* from `iat` to `exp`; without `iat`: from now on; 0: no `exp` */
} rs_jwt_t;

/* A key of `material`: a secret, a PEM (public key, certificate or private key, of which the
 * public half is kept) or a JWK. The bytes are taken as they are: the newline at the end of a
 * secret's file is the caller's to remove. `alg` NULL: the JWK's own, else `default_alg`. `kid`
 * NULL: the JWK's own, else none. Returns NULL, or a sentence that says what to write instead and
 * shows nothing of a secret. */
const char *rs_jwt_key_create(rs_jwt_key_t **key, apr_pool_t *p, const char *alg,
                              const char *default_alg, const char *kid, const char *material,
                              apr_size_t len);

/* Appends the signature keys of a JWK set, or a single JWK. A JWK without `alg` gets `default_alg`
 * where that fits its type, else the usual one of its type. Returns NULL or a sentence. */
const char *rs_jwt_jwks_load(apr_array_header_t *keys, apr_pool_t *p, const char *default_alg,
                             const char *json, apr_size_t len);

/* For one RaglineJWTKey: appends what `material` holds, one key or the keys of a JWK set. Returns
 * NULL or a sentence. */
const char *rs_jwt_keys_add(apr_array_header_t *keys, apr_pool_t *p, const char *alg,
                            const char *default_alg, const char *kid, const char *material,
                            apr_size_t len);

/* Whether what rs_jwt_keys_add() took holds nothing but public keys. */
int rs_jwt_is_public(const char *material, apr_size_t len);

/* Whether `name` is an algorithm that a key can be pinned to (RaglineJWTAlg). */
int rs_jwt_alg_known(const char *name);

const char *rs_jwt_key_alg(const rs_jwt_key_t *key);
const char *rs_jwt_key_kid(const rs_jwt_key_t *key); /* NULL: none */

/* APR_SUCCESS and *jwt; or APR_EACCES, *jwt NULL and *reason, a short sentence without any byte of
 * the token. Some kilobytes of p are used by each call: a request's pool, or one that is cleared.
 */
apr_status_t rs_jwt_verify(rs_jwt_t **jwt, apr_pool_t *p, const rs_jwt_policy_t *policy,
                           const char *token, apr_size_t len, apr_time_t now, const char **reason);

/* What it says of whom, without what is its own (its times, its number): two tokens with the same
 * digest are decided alike, whoever asks their claims. 0: no memory. */
#define RS_JWT_SAYS_LEN 32
int rs_jwt_says(unsigned char says[RS_JWT_SAYS_LEN], apr_pool_t *p, const rs_jwt_t *jwt);

/* Whether they judge alike; both may be NULL. */
int rs_jwt_policy_same(const rs_jwt_policy_t *a, const rs_jwt_policy_t *b);

/* A copy that keeps nothing of the policy but its keys, in a block of that size, which begins where
 * a pointer may. */
size_t rs_jwt_policy_size(const rs_jwt_policy_t *policy);
const rs_jwt_policy_t *rs_jwt_policy_put(void *block, const rs_jwt_policy_t *policy);

/* One for a child, from its pool: some 160 KiB, never more. */
apr_status_t rs_jwt_cache_create(rs_jwt_cache_t **cache, apr_pool_t *p);

#endif
