/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a token says what another one said: of whom, and what they may. Then whatever was decided
 * by the other one's claims, be it by an expression or by Require, holds for this one, too, and
 * nobody has to decide it again. What is of the token itself, when it was made and until when it is
 * good, does not count. Pure functions, any thread.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_jwt_private.h"

/* Of the token itself; the last three are such of Microsoft's. */
static const char *const its_own[] = {"exp",     "nbf",    "iat", "jti", "auth_time", "nonce",
                                      "at_hash", "c_hash", "aio", "rh",  "uti"};

typedef struct {
    rs_json_t name, value;
} member_t;

static size_t length(rs_json_t text) { return (size_t)(text.end - text.s); }

/* No two are the same. */
static int by_name(const void *a, const void *b)
{
    rs_json_t one = ((const member_t *)a)->name, other = ((const member_t *)b)->name;
    size_t n = length(one) < length(other) ? length(one) : length(other);
    int rv = memcmp(one.s, other.s, n);

    return rv ? rv : (length(one) > length(other)) - (length(one) < length(other));
}

static apr_array_header_t *members(apr_pool_t *p, rs_json_t claims)
{
    apr_array_header_t *all = apr_array_make(p, 16, sizeof(member_t));
    rs_json_t inside = rs_json_inside(claims);
    member_t m;

    while (rs_json_member(&inside, &m.name, &m.value)) {
        if (rs_json_which(m.name, its_own, (int)RS_ARRAY_LEN(its_own)) < 0) {
            APR_ARRAY_PUSH(all, member_t) = m;
        }
    }
    qsort(all->elts, (size_t)all->nelts, sizeof(member_t), by_name);
    return all;
}

static int add(EVP_MD_CTX *ctx, rs_json_t text)
{
    size_t n = length(text);

    return EVP_DigestUpdate(ctx, &n, sizeof(n)) && EVP_DigestUpdate(ctx, text.s, n);
}

int rs_jwt_says(unsigned char says[RS_JWT_SAYS_LEN], apr_pool_t *p, const rs_jwt_t *jwt)
{
    apr_array_header_t *all = members(p, jwt->claims);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int i, good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    for (i = 0; good && i < all->nelts; i++) {
        const member_t *m = &APR_ARRAY_IDX(all, i, member_t);

        good = add(ctx, m->name) && add(ctx, m->value);
    }
    good = good && EVP_DigestFinal_ex(ctx, says, NULL);
    EVP_MD_CTX_free(ctx);
    return good;
}
