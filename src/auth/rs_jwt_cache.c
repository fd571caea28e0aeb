/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures found good within the last minute. Any thread; one mutex, held for a look at four
 * entries. An entry's name is the SHA-256 of the key's digest and the whole token: it says that
 * this key signed this token, which stays true whatever the configuration becomes, and a changed
 * key has another name. Nothing else is kept: times and claims are judged anew each time. Only
 * good signatures come in, so that a stranger cannot push entries out.
 */
#include <string.h>

#include <apr_thread_mutex.h>

#include "rs_jwt_private.h"

#define WAYS 4
#define SETS 1024
#define LIFE apr_time_from_sec(60)

typedef struct {
    unsigned char name[RS_JWT_DIGEST_LEN];
    apr_time_t until; /* 0: free */
} entry_t;

struct rs_jwt_cache_t {
    apr_thread_mutex_t *lock;
    entry_t sets[SETS][WAYS]; /* lock */
};

apr_status_t rs_jwt_cache_create(rs_jwt_cache_t **cache, apr_pool_t *p)
{
    rs_jwt_cache_t *made = apr_pcalloc(p, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, p);

    *cache = rv == APR_SUCCESS ? made : NULL;
    return rv;
}

int rs_jwt_cache_name(unsigned char name[RS_JWT_DIGEST_LEN], const rs_jwt_key_t *key,
                      const rs_jwt_parts_t *parts)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)
               && EVP_DigestUpdate(ctx, key->id, sizeof(key->id))
               && EVP_DigestUpdate(ctx, parts->token, parts->token_len)
               && EVP_DigestFinal_ex(ctx, name, NULL);

    EVP_MD_CTX_free(ctx);
    return good;
}

static entry_t *set_of(rs_jwt_cache_t *cache, const unsigned char *name)
{
    return cache->sets[(name[0] << 8 | name[1]) % SETS];
}

int rs_jwt_cache_has(rs_jwt_cache_t *cache, const unsigned char *name, apr_time_t now)
{
    entry_t *set = set_of(cache, name);
    int i, found = 0;

    apr_thread_mutex_lock(cache->lock);
    for (i = 0; i < WAYS && !found; i++) {
        found = set[i].until > now && set[i].until - now <= LIFE
                && memcmp(set[i].name, name, RS_JWT_DIGEST_LEN) == 0;
    }
    apr_thread_mutex_unlock(cache->lock);
    return found;
}

void rs_jwt_cache_put(rs_jwt_cache_t *cache, const unsigned char *name, apr_time_t now)
{
    entry_t *set = set_of(cache, name), *oldest = set;
    int i;

    apr_thread_mutex_lock(cache->lock);
    for (i = 1; i < WAYS; i++) {
        if (set[i].until < oldest->until) {
            oldest = &set[i];
        }
    }
    memcpy(oldest->name, name, RS_JWT_DIGEST_LEN);
    oldest->until = now + LIFE;
    apr_thread_mutex_unlock(cache->lock);
}
