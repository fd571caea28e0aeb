/* SPDX-License-Identifier: Apache-2.0
 *
 * Each place of the registry has a shadow here: what its records said when they were last looked
 * at. Where nobody has come or gone since then a place is not looked at; else each record is, but
 * only for its number, and those that are another one are read.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_registry_int.h"
#include "rs_roll.h"

/* A user whose last connection has gone is gone when nothing comes for so long: a page is loaded
 * again, a connection breaks and is made anew, perhaps to another node. */
#define LINGER apr_time_from_sec(5)
/* And is not even said to have none for so long: a long poll is answered, the next one comes. */
#define QUIET apr_time_from_sec(2)
#define FIRST_SIZE 64u

/* Records that are looked at before others have their turn: less than a tenth of a millisecond. */
#define BUDGET 4096u

typedef struct {
    apr_uint64_t random;
    rs_present_t *of; /* NULL: of nobody who is counted */
} mark_t;

typedef struct {
    apr_uint32_t number; /* of the place */
    pid_t pid;           /* 0: nobody had it */
    apr_uint32_t came;   /* as its place had it */
    apr_uint32_t begun;  /* the same, of the pass that is under way */
    apr_uint32_t at;     /* where that stands; 0: none is */
    int again;           /* it has to be repeated */
    mark_t *marks;
    apr_uint32_t n;
} shadow_t;

struct rs_roll_t {
    rs_registry_t *registry;
    apr_uint32_t realm;
    shadow_t *shadows;
    unsigned nshadows;
    rs_present_t **buckets;
    unsigned size, n; /* a power of two, or 0 */
    rs_ring_t open;
};

/* --- users --- */

static apr_uint32_t hash_text(apr_uint32_t hash, const char *text)
{
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    }
    return (hash ^ ' ') * 16777619u;
}

static apr_uint32_t hash_of(const char *tenant, const char *user, apr_uint64_t room)
{
    apr_uint32_t hash = (apr_uint32_t)(room ^ room >> 32) ^ 2166136261u;

    return hash_text(hash_text(hash, tenant), user);
}

static int grow(rs_roll_t *roll)
{
    unsigned size = roll->size ? roll->size * 2 : FIRST_SIZE, i;
    rs_present_t **buckets;

    if (roll->n < roll->size) {
        return 1;
    }
    buckets = calloc(size, sizeof(rs_present_t *));
    if (!buckets) {
        return roll->size != 0;
    }
    for (i = 0; i < roll->size; i++) {
        while (roll->buckets[i]) {
            rs_present_t *present = roll->buckets[i];
            rs_present_t **to = &buckets[present->hash & (size - 1)];

            roll->buckets[i] = present->next;
            present->next = *to;
            *to = present;
        }
    }
    free(roll->buckets);
    roll->buckets = buckets;
    roll->size = size;
    return 1;
}

/* NULL: memory is short. */
static rs_present_t *find_or_make(rs_roll_t *roll, const char *tenant, const char *user,
                                  apr_uint64_t room)
{
    apr_uint32_t hash = hash_of(tenant, user, room);
    rs_present_t *present = roll->size ? roll->buckets[hash & (roll->size - 1)] : NULL;
    size_t len = strlen(tenant) + 1;

    while (present
           && (present->hash != hash || present->room != room || strcmp(present->tenant, tenant)
               || strcmp(present->user, user))) {
        present = present->next;
    }
    if (present || !grow(roll)) {
        return present;
    }
    present = calloc(1, sizeof(*present) + len + strlen(user) + 1);
    if (present) {
        memcpy(present->tenant, tenant, len);
        present->user = strcpy(present->tenant + len, user);
        present->room = room;
        present->hash = hash;
        present->told = RS_PRESENT_NOT;
        present->next = roll->buckets[hash & (roll->size - 1)];
        roll->buckets[hash & (roll->size - 1)] = present;
        roll->n++;
    }
    return present;
}

static void forget(rs_roll_t *roll, rs_present_t *present)
{
    rs_present_t **link = &roll->buckets[present->hash & (roll->size - 1)];

    while (*link != present) {
        link = &(*link)->next;
    }
    *link = present->next;
    rs_ring_remove(&present->link);
    roll->n--;
    free(present);
}

static void change(rs_roll_t *roll, rs_present_t *present, int by, apr_time_t now)
{
    present->count += by;
    present->gone = present->count ? 0 : now;
    rs_ring_put_last(&roll->open, &present->link);
}

/* --- places --- */

static void let_go(rs_roll_t *roll, mark_t *mark, apr_time_t now)
{
    if (mark->of) {
        change(roll, mark->of, -1, now);
        mark->of = NULL;
    }
    mark->random = 0;
}

static void empty(rs_roll_t *roll, shadow_t *shadow, apr_time_t now)
{
    apr_uint32_t i;

    for (i = 0; i < shadow->n; i++) {
        let_go(roll, &shadow->marks[i], now);
    }
    free(shadow->marks);
    shadow->marks = NULL;
    shadow->n = shadow->at = 0;
    shadow->pid = 0;
}

static shadow_t *shadow_of(rs_roll_t *roll, apr_uint32_t number)
{
    shadow_t *shadows;
    unsigned i;

    for (i = 0; i < roll->nshadows && roll->shadows[i].number != number; i++) {
    }
    if (i == roll->nshadows) {
        shadows = realloc(roll->shadows, (i + 1) * sizeof(*shadows));
        if (!shadows) {
            return NULL;
        }
        memset(&shadows[i], 0, sizeof(*shadows));
        shadows[i].number = number;
        roll->shadows = shadows;
        roll->nshadows++;
    }
    return &roll->shadows[i];
}

static int has_room(shadow_t *shadow, apr_uint32_t used)
{
    apr_uint32_t n = used < 64 ? 64 : used + used / 4;
    mark_t *marks;

    if (used <= shadow->n) {
        return 1;
    }
    marks = realloc(shadow->marks, n * sizeof(*marks));
    if (!marks) {
        return 0;
    }
    memset(marks + shadow->n, 0, (n - shadow->n) * sizeof(*marks));
    shadow->marks = marks;
    shadow->n = n;
    return 1;
}

static int is_taken(rs_spot_t spot)
{
    rs_seat_t front = {0};

    ((apr_uint32_t *)&front)[1] =
        __atomic_load_n((const apr_uint32_t *)(const void *)spot.front + 1, __ATOMIC_ACQUIRE);
    return front.taken;
}

/* 0: it has to be looked at again. */
static int look_at(rs_roll_t *roll, mark_t *mark, rs_spot_t spot, apr_time_t now)
{
    int taken = is_taken(spot);
    rs_seat_t seat;

    if (taken ? mark->random == __atomic_load_n(&rs_seat_at(spot)->random, __ATOMIC_ACQUIRE)
              : !mark->of) {
        return 1;
    }
    if (taken && !rs_seat_read(&seat, spot)) {
        return 0; /* it is being written */
    }
    let_go(roll, mark, now);
    if (taken && seat.room && !seat.waits && seat.realm == roll->realm) {
        mark->of = find_or_make(roll, seat.text, seat.text + strlen(seat.text) + 1, seat.room);
        if (!mark->of) {
            return 0;
        }
        change(roll, mark->of, 1, now);
    }
    mark->random = taken && !seat.waits ? seat.random : 0;
    return 1;
}

/* Whether a pass through the place has to begin, and it can. */
static int begins(rs_roll_t *roll, shadow_t *shadow, const rs_place_t *place, apr_time_t now)
{
    pid_t pid = __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE);
    apr_uint32_t came = __atomic_load_n(&place->came, __ATOMIC_ACQUIRE);

    if (shadow->pid && pid != shadow->pid) {
        empty(roll, shadow, now);
    }
    if (pid <= 0 || (pid == shadow->pid && came == shadow->came && !shadow->at)) {
        return 0;
    }
    if (!shadow->at) {
        shadow->pid = pid;
        shadow->begun = came;
        shadow->again = 0;
    }
    return 1;
}

/* 0: there is more to look at, but not now. */
static int look_through(rs_roll_t *roll, const rs_places_t *in, rs_place_t *place,
                        apr_uint32_t number, apr_time_t now, unsigned *budget)
{
    shadow_t *shadow = shadow_of(roll, number);
    apr_uint32_t used;

    if (!shadow || !begins(roll, shadow, place, now)) {
        return 1;
    }
    used = __atomic_load_n(&place->used, __ATOMIC_ACQUIRE);
    used = used < in->seats ? used : in->seats;
    if (!has_room(shadow, used)) {
        return 1;
    }
    for (; shadow->at < used && *budget; shadow->at++, --*budget) {
        shadow->again |=
            !look_at(roll, &shadow->marks[shadow->at], rs_places_spot(in, place, shadow->at), now);
    }
    if (shadow->at < used) {
        return 0;
    }
    shadow->at = 0;
    shadow->came = shadow->again ? shadow->begun - 1 : shadow->begun;
    return 1;
}

int rs_roll_call(rs_roll_t *roll, apr_time_t now)
{
    const rs_places_t *in;
    unsigned budget = BUDGET;
    apr_uint32_t i;
    int all = 1;

    rs_registry_look(roll->registry);
    for (in = roll->registry->newest; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            all &= look_through(roll, in, &in->places[i], in->first + i, now, &budget);
        }
    }
    return all;
}

/* --- what Redis has --- */

void rs_roll_unknown(rs_roll_t *roll)
{
    rs_present_t *present, *next;
    unsigned i;

    for (i = 0; i < roll->size; i++) {
        for (present = roll->buckets[i]; present; present = next) {
            next = present->next;
            present->told = RS_PRESENT_NOT;
            if (present->count) {
                rs_ring_put_last(&roll->open, &present->link);
            }
            else {
                forget(roll, present);
            }
        }
    }
}

void rs_roll_known(rs_roll_t *roll, const char *tenant, const char *user, apr_uint64_t room,
                   int count, apr_time_t now)
{
    rs_present_t *present = find_or_make(roll, tenant, user, room);

    if (!present) {
        return;
    }
    present->told = count;
    if (!present->count && !present->gone) {
        present->gone = now;
    }
    rs_ring_put_last(&roll->open, &present->link);
}

static int wanted(const rs_present_t *present, apr_time_t now)
{
    if (present->count) {
        return present->count;
    }
    if (present->told == RS_PRESENT_NOT || now >= present->gone + LINGER) {
        return RS_PRESENT_NOT;
    }
    return now < present->gone + QUIET ? present->told : 0;
}

rs_present_t *rs_roll_next(rs_roll_t *roll, rs_present_t *after, apr_time_t now, int *count)
{
    rs_ring_t *link = after ? rs_ring_next(&roll->open, &after->link) : rs_ring_first(&roll->open);

    while (link) {
        rs_present_t *present = RS_RING_OF(link, rs_present_t, link);

        link = rs_ring_next(&roll->open, link);
        *count = wanted(present, now);
        if (*count != present->told) {
            if (now >= present->not_before) {
                return present;
            }
        }
        else if (present->count) {
            rs_ring_remove(&present->link);
        }
        else if (*count == RS_PRESENT_NOT) {
            forget(roll, present);
        }
    }
    return NULL;
}

void rs_roll_told(rs_roll_t *roll, rs_present_t *present, int count)
{
    present->told = count;
    present->not_before = 0;
    if (!present->count && count == RS_PRESENT_NOT) {
        forget(roll, present);
    }
}

unsigned rs_roll_size(const rs_roll_t *roll) { return roll->n; }

rs_roll_t *rs_roll_create(rs_registry_t *registry, const char *realm)
{
    rs_roll_t *roll = calloc(1, sizeof(*roll));

    if (roll) {
        roll->registry = registry;
        roll->realm = rs_tally_realm(registry, realm);
        rs_ring_init(&roll->open);
    }
    return roll;
}

void rs_roll_free(rs_roll_t *roll)
{
    unsigned i;

    if (!roll) {
        return;
    }
    for (i = 0; i < roll->nshadows; i++) {
        free(roll->shadows[i].marks);
    }
    for (i = 0; i < roll->size; i++) {
        while (roll->buckets[i]) {
            rs_present_t *present = roll->buckets[i];

            roll->buckets[i] = present->next;
            free(present);
        }
    }
    free(roll->shadows);
    free(roll->buckets);
    free(roll);
}
