/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of rs_jwt_verify() share: policies in a line, verdicts as the reason.
 */
#ifndef JWT_VERDICT_H
#define JWT_VERDICT_H

#include <apr_general.h>
#include <apr_tables.h>

#include "../../src/auth/rs_jwt_private.h"
#include "jwt_sign.h"
#include "tap.h"

#define SECRET "k7Jq2m-Zx0vTr9LwP4sNe8HdYb6UcGfA1oXi3KtQzMlRjV5nSuBpWyEhDgCa_I0O"
#define NOW_SEC 1700000000
#define NOW apr_time_from_sec(NOW_SEC)
#define JOSE(alg) "{\"alg\":\"" alg "\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"sub\":\"17\",\"tenant_id\":42,\"type\":\"access\",\"exp\":1700000900}"
#define MISMATCH "the signature does not match"
#define NO_ALG "algorithm not allowed"

static apr_pool_t *pool;
static rs_jwt_t *last; /* the token accepted last, or NULL */

static inline rs_jwt_key_t *key_make(const char *alg, const char *kid)
{
    const char *material = alg[0] == 'H' ? SECRET : pem_public(pool, pkey_for(alg)), *why;
    rs_jwt_key_t *key = NULL;

    why = rs_jwt_key_create(&key, pool, alg, NULL, kid, material, strlen(material));
    if (why) {
        ok(0, "key for %s: %s", alg, why);
        exit(1);
    }
    return key;
}

/* A policy of some keys: "ALG" or "ALG:kid", up to a NULL. */
static inline rs_jwt_policy_t *policy_of(const char *spec, ...)
{
    rs_jwt_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
    apr_array_header_t *keys = apr_array_make(pool, 4, sizeof(rs_jwt_key_t *));
    va_list ap;

    va_start(ap, spec);
    for (; spec; spec = va_arg(ap, const char *)) {
        const char *kid = strchr(spec, ':');

        APR_ARRAY_PUSH(keys, rs_jwt_key_t *) =
            key_make(kid ? apr_pstrmemdup(pool, spec, (apr_size_t)(kid - spec)) : spec,
                     kid ? kid + 1 : NULL);
    }
    va_end(ap);
    policy->keys = keys;
    return policy;
}

static inline void policy_require(rs_jwt_policy_t *policy, const char *claim, const char *value)
{
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(rs_jwt_require_t));
    rs_jwt_require_t *want = apr_array_push(list);

    want->claim = claim;
    want->value = value;
    policy->require = list;
}

static inline int echoes(const char *reason, const char *token)
{
    apr_size_t i, n = strlen(token);
    char piece[9] = "";

    for (i = 0; i + 8 <= n; i++) {
        memcpy(piece, token + i, 8);
        if (strstr(reason, piece)) {
            return 1;
        }
    }
    return 0;
}

/* The reason, NULL for accepted. The token is handed over without a NUL behind it, so that a read
 * beyond its end is seen. */
static inline const char *verdict_at(const rs_jwt_policy_t *policy, const char *token,
                                     apr_size_t len, apr_time_t now)
{
    char *bare = malloc(len ? len : 1);
    const char *reason = "unset";
    apr_status_t rv;

    memcpy(bare, token, len);
    rv = rs_jwt_verify(&last, pool, policy, bare, len, now, &reason);
    free(bare);
    if ((rv == APR_SUCCESS) != (reason == NULL) || (rv == APR_SUCCESS) != (last != NULL)
        || (rv != APR_SUCCESS && rv != APR_EACCES) || (reason && echoes(reason, token))) {
        return "verdict and reason do not go together";
    }
    return reason;
}

static inline const char *verdict(const rs_jwt_policy_t *policy, const char *token)
{
    return verdict_at(policy, token, strlen(token), NOW);
}

static inline const char *hs(const char *header, const char *claims)
{
    return token_hmac(pool, "HS256", header, claims, SECRET, strlen(SECRET));
}

#endif
