/* SPDX-License-Identifier: Apache-2.0
 *
 * To count is to go through the registry. That is done again when somebody has come or gone since,
 * but takes a twentieth of the time at most, however often a tenant's clients ask.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "rs_census.h"

#define SHARE 20
#define SLOTS 256u /* a power of two, more than twice RS_CENSUS_USERS */

typedef struct {
    apr_uint64_t key;
    unsigned count;
    char name[RS_NAME_MAX + 1];
} user_t;

typedef struct {
    unsigned total, named;
    user_t users[SLOTS];
    unsigned char order[RS_CENSUS_USERS];
} count_t;

static void count(void *data, const rs_glance_t *one)
{
    count_t *c = data;
    unsigned i = (unsigned)one->user_key & (SLOTS - 1);

    if (one->via != RS_VIA_WEBSOCKET) {
        return;
    }
    c->total++;
    if (!one->user_key) {
        return;
    }
    while (c->users[i].key && c->users[i].key != one->user_key) {
        i = (i + 1) & (SLOTS - 1);
    }
    if (!c->users[i].key && c->named < RS_CENSUS_USERS) {
        c->users[i].key = one->user_key;
        apr_cpystrn(c->users[i].name, one->user, sizeof(c->users[i].name));
        c->order[c->named++] = (unsigned char)i;
    }
    c->users[i].count += c->users[i].key != 0;
}

static void put(rs_buf_t *users, const count_t *c)
{
    unsigned i;

    rs_buf_puts(users, "{");
    for (i = 0; i < c->named; i++) {
        const user_t *user = &c->users[c->order[i]];

        rs_buf_puts(users, i ? "," : "");
        rs_buf_json(users, user->name, strlen(user->name));
        rs_buf_printf(users, ":%u", user->count);
    }
    rs_buf_puts(users, "}");
}

static rs_counted_t *place_of(rs_census_t *census, const char *whose)
{
    unsigned hash = 0;

    for (; *whose; whose++) {
        hash = hash * 31 + (unsigned char)*whose;
    }
    return &census->kept[hash % RS_ARRAY_LEN(census->kept)];
}

static int take_kept(rs_census_t *census, const char *whose, apr_uint32_t came, unsigned *total,
                     rs_buf_t *users)
{
    rs_counted_t *kept = place_of(census, whose);
    int good;

    pthread_mutex_lock(&census->lock);
    good = kept->whose && !strcmp(kept->whose, whose)
           && (kept->came == came || rs_clock_now() < kept->good_to);
    if (good) {
        *total = kept->total;
        rs_buf_add(users, kept->users.data, kept->users.len);
    }
    pthread_mutex_unlock(&census->lock);
    return good;
}

static void keep(rs_census_t *census, const char *whose, const rs_counted_t *counted,
                 const char *users, size_t len)
{
    rs_counted_t *kept = place_of(census, whose);

    pthread_mutex_lock(&census->lock);
    if (!kept->whose || strcmp(kept->whose, whose)) {
        free(kept->whose);
        kept->whose = strdup(whose);
    }
    kept->total = counted->total;
    kept->came = counted->came;
    kept->good_to = counted->good_to;
    rs_buf_clear(&kept->users);
    rs_buf_add(&kept->users, users, len);
    if (!rs_buf_ok(&kept->users)) {
        free(kept->whose);
        kept->whose = NULL;
    }
    pthread_mutex_unlock(&census->lock);
}

unsigned rs_census_tell(rs_census_t *census, rs_registry_t *registry, const char *realm,
                        const char *tenant, rs_buf_t *users)
{
    apr_uint32_t came = registry ? rs_registry_came(registry) : 0;
    rs_whom_t whom = {.realm = realm, .tenant = tenant};
    char whose[RS_NAME_MAX + 32];
    rs_counted_t counted = {.came = came};
    apr_time_t begun = rs_clock_now();
    size_t from = users->len;
    unsigned total = 0;
    count_t *c;

    apr_snprintf(whose, sizeof(whose), "%pp %s", (const void *)realm, tenant);
    if (take_kept(census, whose, came, &total, users)) {
        return total;
    }
    c = registry ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        users->broken |= registry != NULL;
        rs_buf_puts(users, "{}");
        return 0;
    }
    rs_registry_each(registry, &whom, count, c);
    put(users, c);
    counted.total = total = c->total;
    counted.good_to = rs_clock_now() + SHARE * (rs_clock_now() - begun);
    free(c);
    if (rs_buf_ok(users)) {
        keep(census, whose, &counted, users->data + from, users->len - from);
    }
    return total;
}

void rs_census_open(rs_census_t *census)
{
    memset(census, 0, sizeof(*census));
    pthread_mutex_init(&census->lock, NULL);
}

void rs_census_close(rs_census_t *census)
{
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(census->kept); i++) {
        free(census->kept[i].whose);
        rs_buf_free(&census->kept[i].users);
    }
    pthread_mutex_destroy(&census->lock);
}
