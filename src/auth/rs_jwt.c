/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict on a token: which key, the signature, the times, what RaglineJWTRequire asks. Any
 * thread, no state but the policy's cache. The order matters: the token is taken apart strictly,
 * its algorithm must be a key's own before any cryptography runs, and the claims are read only
 * after the signature was found good. Where a token comes from and what its claims are good for
 * is not decided here.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_claims.h"
#include "rs_jwt_private.h"

/* 9999-12-31T23:59:59Z: what is above was meant in milliseconds. */
#define TIME_MAX apr_time_from_sec(253402300799)

/* A key without a kid takes tokens with any: one that never rotated its key has none to compare. */
static int kid_fits(const rs_jwt_key_t *key, const rs_jwt_header_t *header)
{
    return !header->kid || !key->kid || strcmp(header->kid, key->kid) == 0;
}

static int key_good(const rs_jwt_policy_t *policy, const rs_jwt_key_t *key,
                    const rs_jwt_parts_t *parts, apr_time_t now)
{
    unsigned char name[RS_JWT_DIGEST_LEN];

    /* An HMAC costs no more than the look into the cache. */
    if (!policy->cache || key->alg->family == RS_ALG_HMAC || !rs_jwt_cache_name(name, key, parts)) {
        return rs_jwt_sig_good(key, parts);
    }
    if (rs_jwt_cache_has(policy->cache, name, now)) {
        return 1;
    }
    if (!rs_jwt_sig_good(key, parts)) {
        return 0;
    }
    rs_jwt_cache_put(policy->cache, name, now);
    return 1;
}

/* NULL and the key that signed the token, or the reason. */
static const char *signature_check(const rs_jwt_key_t **signer, const rs_jwt_policy_t *policy,
                                   const rs_jwt_header_t *header, const rs_jwt_parts_t *parts,
                                   apr_time_t now)
{
    int i, tried = 0, alg_seen = 0;

    *signer = NULL;
    for (i = 0; policy->keys && i < policy->keys->nelts && tried < RS_JWT_TRIES_MAX; i++) {
        const rs_jwt_key_t *key = APR_ARRAY_IDX(policy->keys, i, rs_jwt_key_t *);

        if (strcmp(header->alg, key->alg->name) != 0) {
            continue;
        }
        alg_seen = 1;
        if (!kid_fits(key, header)) {
            continue;
        }
        tried++;
        if (key_good(policy, key, parts, now)) {
            *signer = key;
            return NULL;
        }
    }
    return !alg_seen ? "algorithm not allowed"
           : !tried  ? "unknown key id"
                     : "the signature does not match";
}

/* A NumericDate, with or without fraction, in microseconds. *there is 0 without such a claim. */
static const char *time_read(apr_time_t *at, int *there, apr_pool_t *p, rs_json_t claims,
                             const char *name)
{
    rs_json_t value = rs_claim_find(claims, name);

    *there = value.s != NULL;
    *at = 0;
    if (!value.s) {
        return NULL;
    }
    if (rs_json_kind(value) != '0') {
        return apr_psprintf(p, "%s is not a number", name);
    }
    if (!rs_json_scaled(at, value, 6) || *at < 0 || *at > TIME_MAX) {
        return apr_psprintf(p, "%s is out of range (it counts seconds since 1970)", name);
    }
    return NULL;
}

static const char *times_check(rs_jwt_t *jwt, apr_pool_t *p, apr_interval_time_t leeway,
                               apr_time_t now)
{
    apr_time_t exp, nbf, iat;
    int has_exp, has_nbf, has_iat;
    const char *why;

    if ((why = time_read(&exp, &has_exp, p, jwt->claims, "exp")) != NULL
        || (why = time_read(&nbf, &has_nbf, p, jwt->claims, "nbf")) != NULL
        || (why = time_read(&iat, &has_iat, p, jwt->claims, "iat")) != NULL) {
        return why;
    }
    if (leeway < 0) {
        leeway = 0;
    }
    if (has_exp && exp <= now - leeway) {
        return "expired";
    }
    if (has_nbf && nbf > now + leeway) {
        return "not yet valid";
    }
    jwt->expires = has_exp ? exp + leeway : 0;
    jwt->lives = has_exp && exp > (has_iat ? iat : now) ? exp - (has_iat ? iat : now) : 0;
    return NULL;
}

static const char *require_check(apr_pool_t *p, const rs_jwt_policy_t *policy, rs_json_t claims)
{
    int i;

    for (i = 0; policy->require && i < policy->require->nelts; i++) {
        const rs_jwt_require_t *want = &APR_ARRAY_IDX(policy->require, i, rs_jwt_require_t);

        if (!rs_claim_is(rs_claim_find(claims, want->claim), want->value)) {
            return apr_psprintf(p, "claim \"%s\" is not what RaglineJWTRequire asks", want->claim);
        }
    }
    return NULL;
}

static const char *check(rs_jwt_t *jwt, apr_pool_t *p, const rs_jwt_policy_t *policy,
                         const char *token, apr_size_t len, apr_time_t now)
{
    const rs_jwt_key_t *signer;
    rs_jwt_header_t header;
    rs_jwt_parts_t parts;
    const char *why;

    if ((why = rs_jwt_split(&parts, p, token, len)) != NULL
        || (why = rs_jwt_header_read(&header, p, &parts)) != NULL
        || (why = signature_check(&signer, policy, &header, &parts, now)) != NULL
        || (why = rs_jwt_object(&jwt->claims, p, "the token's payload", parts.payload,
                                parts.payload_len))
               != NULL) {
        return why;
    }
    if (signer->alg->family == RS_ALG_HMAC && header.plain_typ
        && !rs_jwt_libjwt_agrees(signer, &parts)) {
        return "libjwt does not take the token";
    }
    why = times_check(jwt, p, policy->leeway, now);
    return why ? why : require_check(p, policy, jwt->claims);
}

apr_status_t rs_jwt_verify(rs_jwt_t **jwt, apr_pool_t *p, const rs_jwt_policy_t *policy,
                           const char *token, apr_size_t len, apr_time_t now, const char **reason)
{
    rs_jwt_t *made = apr_pcalloc(p, sizeof(*made));

    *reason = check(made, p, policy, token, len, now);
    *jwt = *reason ? NULL : made;
    return *reason ? APR_EACCES : APR_SUCCESS;
}
