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
    return (kind == 't' && *tenant && !rest) || (kind == 'u' && *tenant && *user)
           || (kind == 'j' && *jti);
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

/* lock */
static int put_in(rs_revoked_t *revoked, int at, const char *name, apr_int64_t until)
{
    item_t item = {strdup(name), until, revoked->reading};

    if (item.name && revoked->n == revoked->size) {
        int size = revoked->size ? revoked->size * 2 : 16;
        item_t *items = realloc(revoked->items, (size_t)size * sizeof(*items));

        if (!items) {
            free(item.name);
            return -1;
        }
        revoked->items = items;
        revoked->size = size;
    }
    if (!item.name) {
        return -1;
    }
    memmove(&revoked->items[at + 1], &revoked->items[at],
            (size_t)(revoked->n - at) * sizeof(*revoked->items));
    revoked->items[at] = item;
    revoked->n++;
    return 1;
}

int rs_revoked_set(rs_revoked_t *revoked, const char *name, apr_int64_t until)
{
    int over = until <= apr_time_sec(apr_time_now()), at, found, news = 0;

    pthread_mutex_lock(&revoked->lock);
    at = place_of(revoked, name, &found);
    if (found && over) {
        take_out(revoked, at);
    }
    else if (found) {
        revoked->items[at].until = until;
        revoked->items[at].reading = revoked->reading;
    }
    else if (!over) {
        news = put_in(revoked, at, name, until);
    }
    pthread_mutex_unlock(&revoked->lock);
    return news;
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
