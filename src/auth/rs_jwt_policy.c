/* SPDX-License-Identifier: Apache-2.0
 *
 * Policies that outlive the request they were made for: the same one or not, and a copy in one
 * block. Keys are the configuration's, and are not copied. Pure functions, any thread.
 */
#include <string.h>

#include "rs_jwt.h"

static int length(const apr_array_header_t *list) { return list ? list->nelts : 0; }

static const rs_jwt_require_t *required(const rs_jwt_policy_t *policy, int i)
{
    return &APR_ARRAY_IDX(policy->require, i, rs_jwt_require_t);
}

int rs_jwt_policy_same(const rs_jwt_policy_t *a, const rs_jwt_policy_t *b)
{
    int i;

    if (!a || !b) {
        return a == b;
    }
    if (a->leeway != b->leeway || a->cache != b->cache || length(a->keys) != length(b->keys)
        || length(a->require) != length(b->require)) {
        return 0;
    }
    for (i = 0; i < length(a->keys); i++) {
        if (APR_ARRAY_IDX(a->keys, i, rs_jwt_key_t *)
            != APR_ARRAY_IDX(b->keys, i, rs_jwt_key_t *)) {
            return 0;
        }
    }
    for (i = 0; i < length(a->require); i++) {
        if (strcmp(required(a, i)->claim, required(b, i)->claim) != 0
            || strcmp(required(a, i)->value, required(b, i)->value) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Whatever is put behind the policy begins where any type may. */
typedef struct {
    rs_jwt_policy_t policy;
    apr_array_header_t keys, require;
} block_t;

size_t rs_jwt_policy_size(const rs_jwt_policy_t *policy)
{
    size_t size = sizeof(block_t) + (size_t)length(policy->keys) * sizeof(rs_jwt_key_t *)
                  + (size_t)length(policy->require) * sizeof(rs_jwt_require_t);
    int i;

    for (i = 0; i < length(policy->require); i++) {
        size += strlen(required(policy, i)->claim) + strlen(required(policy, i)->value) + 2;
    }
    return size;
}

static char *put(char **to, const char *text)
{
    size_t n = strlen(text) + 1;
    char *at = memcpy(*to, text, n);

    *to += n;
    return at;
}

/* An array that is never added to. */
static void *lay_out(apr_array_header_t *list, void *at, int n, size_t size)
{
    memset(list, 0, sizeof(*list));
    list->elt_size = (int)size;
    list->nelts = list->nalloc = n;
    list->elts = at;
    return (char *)at + (size_t)n * size;
}

const rs_jwt_policy_t *rs_jwt_policy_put(void *at, const rs_jwt_policy_t *policy)
{
    block_t *block = at;
    rs_jwt_require_t *require;
    char *text;
    int i;

    block->policy = *policy;
    block->policy.keys = &block->keys;
    block->policy.require = &block->require;
    require = lay_out(&block->keys, block + 1, length(policy->keys), sizeof(rs_jwt_key_t *));
    text = lay_out(&block->require, require, length(policy->require), sizeof(rs_jwt_require_t));
    if (length(policy->keys)) {
        memcpy(block->keys.elts, policy->keys->elts,
               (size_t)policy->keys->nelts * sizeof(rs_jwt_key_t *));
    }
    for (i = 0; i < length(policy->require); i++) {
        require[i].claim = put(&text, required(policy, i)->claim);
        require[i].value = put(&text, required(policy, i)->value);
    }
    return &block->policy;
}
