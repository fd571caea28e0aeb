/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted list, which is short: revocations end with the tokens that they are about.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_name.h"
#include "rs_revoked.h"

typedef struct {
    char *name;
    apr_int64_t until;
    unsigned reading; /* in which it was seen last */
} item_t;

struct rs_revoked_t {
    pthread_mutex_t lock;
    item_t *items; /* lock, and so is the rest */
    int n, size;
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

void rs_revoked_free(rs_revoked_t *revoked)
{
    while (revoked && revoked->n) {
        free(revoked->items[--revoked->n].name);
    }
    if (revoked) {
        free(revoked->items);
        pthread_mutex_destroy(&revoked->lock);
        free(revoked);
    }
}

/* lock: where it is, or would be */
static int place_of(const rs_revoked_t *revoked, const char *name, int *found)
{
    int low = 0, high = revoked->n;

    *found = 0;
    while (low < high) {
        int middle = low + (high - low) / 2, cmp = strcmp(revoked->items[middle].name, name);

        if (cmp == 0) {
            *found = 1;
            return middle;
        }
        low = cmp < 0 ? middle + 1 : low;
        high = cmp < 0 ? high : middle;
    }
    return low;
}

/* lock */
static void take_out(rs_revoked_t *revoked, int at)
{
    free(revoked->items[at].name);
    revoked->n--;
    memmove(&revoked->items[at], &revoked->items[at + 1],
            (size_t)(revoked->n - at) * sizeof(*revoked->items));
}

/* lock: of those whose time is over nobody else says that they may go. */
static void forget_ended(rs_revoked_t *revoked, apr_int64_t now)
{
    int i, n = 0;

    for (i = 0; i < revoked->n; i++) {
        if (revoked->items[i].until > now) {
            revoked->items[n++] = revoked->items[i];
        }
        else {
            free(revoked->items[i].name);
        }
    }
    revoked->n = n;
}

/* lock: 0: memory is short. Half of it is free then, so that all are looked at once in a while. */
static int make_room(rs_revoked_t *revoked, apr_int64_t now)
{
    int size = revoked->size ? revoked->size * 2 : 16;
    item_t *items;

    if (revoked->n < revoked->size) {
        return 1;
    }
    forget_ended(revoked, now);
    if (revoked->size && revoked->n <= revoked->size / 2) {
        return 1;
    }
    items = realloc(revoked->items, (size_t)size * sizeof(*items));
    if (items) {
        revoked->items = items;
        revoked->size = size;
    }
    return revoked->n < revoked->size;
}

/* lock */
static int put_in(rs_revoked_t *revoked, const char *name, apr_int64_t until, apr_int64_t now)
{
    item_t item = {make_room(revoked, now) ? strdup(name) : NULL, until, revoked->reading};
    int at, found;

    if (!item.name) {
        return -1;
    }
    at = place_of(revoked, name, &found);
    memmove(&revoked->items[at + 1], &revoked->items[at],
            (size_t)(revoked->n - at) * sizeof(*revoked->items));
    revoked->items[at] = item;
    revoked->n++;
    return 1;
}

int rs_revoked_set(rs_revoked_t *revoked, const char *name, apr_int64_t until)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    int at, found, news = 0;

    pthread_mutex_lock(&revoked->lock);
    at = place_of(revoked, name, &found);
    if (found && until <= now) {
        take_out(revoked, at);
    }
    else if (found) {
        /* Between the two times anybody could come. */
        news = revoked->items[at].until <= now;
        revoked->items[at].until = until;
        revoked->items[at].reading = revoked->reading;
    }
    else if (until > now) {
        news = put_in(revoked, name, until, now);
    }
    pthread_mutex_unlock(&revoked->lock);
    return news;
}

unsigned rs_revoked_count(rs_revoked_t *revoked)
{
    unsigned n;

    pthread_mutex_lock(&revoked->lock);
    n = (unsigned)revoked->n;
    pthread_mutex_unlock(&revoked->lock);
    return n;
}

void rs_revoked_begin(rs_revoked_t *revoked)
{
    pthread_mutex_lock(&revoked->lock);
    revoked->reading++;
    pthread_mutex_unlock(&revoked->lock);
}

void rs_revoked_end(rs_revoked_t *revoked)
{
    int i;

    pthread_mutex_lock(&revoked->lock);
    for (i = revoked->n - 1; i >= 0; i--) {
        if (revoked->items[i].reading != revoked->reading) {
            take_out(revoked, i);
        }
    }
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
    int found, at;

    if (!rs_revoked_name(name, tenant, user, jti)) {
        return 0;
    }
    at = place_of(revoked, name, &found);
    return found && revoked->items[at].until > now;
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
