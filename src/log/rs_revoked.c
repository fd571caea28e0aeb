/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash. Revocations end with the tokens that they are about, but where each logout is one there
 * may be some hundred thousand of them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "../base/rs_name.h"
#include "rs_revoked.h"

#define FIRST_SIZE 64u

typedef struct item_t item_t;

struct item_t {
    item_t *next; /* in its bucket */
    unsigned hash;
    unsigned reading; /* in which it was seen last */
    apr_int64_t until;
    char name[];
};

struct rs_revoked_t {
    pthread_mutex_t lock;
    item_t **buckets; /* lock, and so is the rest */
    unsigned n, size; /* a power of two, or 0 */
    unsigned reading;
    int known;
};

/* --- names --- */

static int is_token_id(const char *jti)
{
    size_t n = strlen(jti), i;

    for (i = 0; i < n && (unsigned char)jti[i] > ' ' && jti[i] != 0x7f; i++) {
    }
    return n > 0 && n <= RS_JTI_MAX && i == n;
}

static int is_name(const char *name) { return rs_name_valid(name, strlen(name)); }

int rs_revoked_name(char name[RS_REVOKED_NAME], const char *tenant, const char *user,
                    const char *jti)
{
    if ((tenant && !is_name(tenant)) || (user && !is_name(user)) || (jti && !is_token_id(jti))
        || (!jti && !tenant)) {
        return 0;
    }
    apr_snprintf(name, RS_REVOKED_NAME, "%c/%s%s%s",
                 jti    ? 'j'
                 : user ? 'u'
                        : 't',
                 tenant ? tenant : "", jti || user ? "/" : "",
                 jti    ? jti
                 : user ? user
                        : "");
    return 1;
}

int rs_revoked_parts(char *name, const char **tenant, const char **user, const char **jti)
{
    char *rest = name[0] && name[1] == '/' ? strchr(name + 2, '/') : NULL;
    char kind = name[0];

    *tenant = name[0] && name[1] == '/' && name[2] && name[2] != '/' ? name + 2 : NULL;
    *user = kind == 'u' && rest ? rest + 1 : NULL;
    *jti = kind == 'j' && rest ? rest + 1 : NULL;
    if (rest) {
        *rest = '\0';
    }
    if ((*tenant && !is_name(*tenant)) || (*user && !is_name(*user))
        || (*jti && !is_token_id(*jti))) {
        return 0;
    }
    return (kind == 't' && *tenant && !rest) || (kind == 'u' && *tenant && *user)
           || (kind == 'j' && *jti);
}

int rs_revoked_is_name(const char *name)
{
    const char *tenant, *user, *jti;
    char copy[RS_REVOKED_NAME];

    return strlen(name) < sizeof(copy)
           && rs_revoked_parts(strcpy(copy, name), &tenant, &user, &jti);
}

/* --- the list --- */

rs_revoked_t *rs_revoked_create(void)
{
    rs_revoked_t *revoked = calloc(1, sizeof(*revoked));

    if (revoked) {
        pthread_mutex_init(&revoked->lock, NULL);
    }
    return revoked;
}

static unsigned hash_of(const char *name)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return apr_hashfunc_default(name, &len);
}

/* lock: where it hangs, or would */
static item_t **place_of(const rs_revoked_t *revoked, const char *name)
{
    unsigned hash = hash_of(name);
    item_t **at = &revoked->buckets[hash & (revoked->size - 1)];

    while (*at && ((*at)->hash != hash || strcmp((*at)->name, name))) {
        at = &(*at)->next;
    }
    return at;
}

/* lock */
static void take_out(rs_revoked_t *revoked, item_t **at)
{
    item_t *item = *at;

    *at = item->next;
    free(item);
    revoked->n--;
}

/* lock: those whose time is over, or that were not seen in this reading; 0: that does not matter */
static void sweep(rs_revoked_t *revoked, apr_int64_t now, unsigned reading)
{
    item_t **at;
    unsigned i;

    for (i = 0; i < revoked->size; i++) {
        for (at = &revoked->buckets[i]; *at;) {
            if ((*at)->until <= now || (reading && (*at)->reading != reading)) {
                take_out(revoked, at);
            }
            else {
                at = &(*at)->next;
            }
        }
    }
}

/* lock: 0: memory is short. Of those that have ended nobody else says that they may go. */
static int make_room(rs_revoked_t *revoked, apr_int64_t now)
{
    unsigned size = revoked->size ? revoked->size * 2 : FIRST_SIZE, i;
    item_t **buckets, *item;

    if (revoked->n < revoked->size) {
        return 1;
    }
    sweep(revoked, now, 0);
    if (revoked->size && revoked->n <= revoked->size / 2) {
        return 1;
    }
    buckets = calloc(size, sizeof(*buckets));
    if (!buckets) {
        return revoked->size != 0;
    }
    for (i = 0; i < revoked->size; i++) {
        while ((item = revoked->buckets[i])) {
            revoked->buckets[i] = item->next;
            item->next = buckets[item->hash & (size - 1)];
            buckets[item->hash & (size - 1)] = item;
        }
    }
    free(revoked->buckets);
    revoked->buckets = buckets;
    revoked->size = size;
    return 1;
}

/* lock: one that is not there */
static int put_in(rs_revoked_t *revoked, const char *name, apr_int64_t until, apr_int64_t now)
{
    size_t len = strlen(name) + 1;
    item_t *item = make_room(revoked, now) ? malloc(sizeof(*item) + len) : NULL, **at;

    if (!item) {
        return -1;
    }
    memcpy(item->name, name, len);
    item->hash = hash_of(name);
    item->until = until;
    item->reading = revoked->reading;
    at = &revoked->buckets[item->hash & (revoked->size - 1)];
    item->next = *at;
    *at = item;
    revoked->n++;
    return 1;
}

/* lock: NULL: it is not there */
static item_t **find(const rs_revoked_t *revoked, const char *name)
{
    item_t **at = revoked->size ? place_of(revoked, name) : NULL;

    return at && *at ? at : NULL;
}

int rs_revoked_set(rs_revoked_t *revoked, const char *name, apr_int64_t until)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    item_t **at;
    int news = 0;

    pthread_mutex_lock(&revoked->lock);
    at = find(revoked, name);
    if (at && until <= now) {
        take_out(revoked, at);
    }
    else if (at) {
        /* Between the two times anybody could come. */
        news = (*at)->until <= now;
        (*at)->until = until;
        (*at)->reading = revoked->reading;
    }
    else if (until > now) {
        news = put_in(revoked, name, until, now);
    }
    pthread_mutex_unlock(&revoked->lock);
    return news;
}

void rs_revoked_free(rs_revoked_t *revoked)
{
    if (!revoked) {
        return;
    }
    sweep(revoked, APR_INT64_MAX, 0);
    free(revoked->buckets);
    pthread_mutex_destroy(&revoked->lock);
    free(revoked);
}

unsigned rs_revoked_count(rs_revoked_t *revoked)
{
    unsigned n;

    pthread_mutex_lock(&revoked->lock);
    n = revoked->n;
    pthread_mutex_unlock(&revoked->lock);
    return n;
}

void rs_revoked_begin(rs_revoked_t *revoked)
{
    pthread_mutex_lock(&revoked->lock);
    revoked->reading += 1 + (revoked->reading + 1 == 0); /* 0 is none */
    pthread_mutex_unlock(&revoked->lock);
}

void rs_revoked_end(rs_revoked_t *revoked)
{
    pthread_mutex_lock(&revoked->lock);
    sweep(revoked, 0, revoked->reading);
    revoked->known = 1;
    pthread_mutex_unlock(&revoked->lock);
}

int rs_revoked_known(rs_revoked_t *revoked)
{
    int known;

    pthread_mutex_lock(&revoked->lock);
    known = revoked->known;
    pthread_mutex_unlock(&revoked->lock);
    return known;
}

/* lock */
static int has(const rs_revoked_t *revoked, apr_int64_t now, const char *tenant, const char *user,
               const char *jti)
{
    char name[RS_REVOKED_NAME];
    item_t **at;

    if (!rs_revoked_name(name, tenant, user, jti)) {
        return 0;
    }
    at = find(revoked, name);
    return at && (*at)->until > now;
}

int rs_revoked_has(rs_revoked_t *revoked, const char *tenant, const char *user, const char *jti)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    int is;

    pthread_mutex_lock(&revoked->lock);
    is = revoked->n
         && (has(revoked, now, tenant, NULL, NULL)
             || (*user && has(revoked, now, tenant, user, NULL))
             || (jti
                 && (has(revoked, now, tenant, NULL, jti) || has(revoked, now, NULL, NULL, jti))));
    pthread_mutex_unlock(&revoked->lock);
    return is;
}
