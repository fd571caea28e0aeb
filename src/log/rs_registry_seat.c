/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: coming, going, and what is noted meanwhile are the owner's; reading is anybody's, and
 * takes no lock.
 */
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <apr_siphash.h>

#include "rs_registry_int.h"

/* A record that is written whenever it is looked at: its owner was interrupted, or killed. */
#define TRIES 1000

#define WORD(member) (offsetof(rs_seat_t, member) / sizeof(apr_uint64_t))

static apr_uint64_t *word_of(rs_spot_t spot, size_t i)
{
    return i < RS_SEAT_FRONT ? &spot.front[i] : &spot.rest[i - RS_SEAT_FRONT];
}

/* The version is the first half of the first word, and is not copied. */
static void copy_in(rs_spot_t to, const rs_seat_t *from, size_t first, size_t end)
{
    apr_uint32_t *begin = (apr_uint32_t *)(void *)to.front;
    size_t i;

    __atomic_store_n(begin, begin[0] + 1, __ATOMIC_RELEASE);
    if (first == 0) {
        __atomic_store_n(begin + 1, ((const apr_uint32_t *)from)[1], __ATOMIC_RELEASE);
        first = 1;
    }
    for (i = first; i < end; i++) {
        __atomic_store_n(word_of(to, i), ((const apr_uint64_t *)from)[i], __ATOMIC_RELEASE);
    }
    __atomic_store_n(begin, begin[0] + 1, __ATOMIC_RELEASE);
}

static size_t words_of(const rs_seat_t *record)
{
    return RS_SEAT_FRONT + record->rest < RS_SEAT_WORDS ? RS_SEAT_FRONT + record->rest
                                                        : RS_SEAT_WORDS;
}

static int copy_out(rs_seat_t *to, rs_spot_t from)
{
    const apr_uint32_t *begin = (const apr_uint32_t *)(const void *)from.front;
    apr_uint32_t version = __atomic_load_n(begin, __ATOMIC_ACQUIRE);
    size_t i;

    ((apr_uint32_t *)to)[1] = __atomic_load_n(begin + 1, __ATOMIC_ACQUIRE);
    for (i = 1; to->taken && i < words_of(to); i++) {
        ((apr_uint64_t *)to)[i] = __atomic_load_n(word_of(from, i), __ATOMIC_ACQUIRE);
    }
    return !(version & 1) && __atomic_load_n(begin, __ATOMIC_ACQUIRE) == version;
}

int rs_seat_read(rs_seat_t *to, rs_spot_t from)
{
    int tries = 0;

    memset(to, 0, sizeof(*to));
    while (!copy_out(to, from)) {
        if (++tries == TRIES) {
            return 0;
        }
        sched_yield();
    }
    return to->taken;
}

/* Its text is so long now. Returns where the record ends. */
static size_t set_length(rs_seat_t *record, size_t text)
{
    size_t end = (offsetof(rs_seat_t, text) + text) / sizeof(apr_uint64_t) + 1;

    record->rest = (unsigned char)(end > RS_SEAT_FRONT ? end - RS_SEAT_FRONT : 0);
    return end;
}

/* --- the owner --- */

static void put_address(rs_seat_t *record, const struct sockaddr *address)
{
    if (address && address->sa_family == AF_INET) {
        memcpy(record->address, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        record->family = 4;
    }
    else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        int mapped = IN6_IS_ADDR_V4MAPPED(in6);

        memcpy(record->address, in6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        record->family = mapped ? 4 : 6;
    }
}

/* Asking the system each time would cost as much as all else. */
static void make_random(rs_seat_t *record, rs_registry_t *registry)
{
    apr_uint64_t n[2] = {__atomic_add_fetch(&registry->issued, 1, __ATOMIC_RELAXED), 0};

    record->random = apr_siphash24(n, sizeof(n), registry->key);
    n[1] = 1;
    record->more = (apr_uint32_t)apr_siphash24(n, sizeof(n), registry->key);
}

static void compose(rs_seat_t *record, rs_registry_t *registry, const rs_arrival_t *who)
{
    char *text = record->text;

    memset(record, 0, sizeof(*record));
    make_random(record, registry);
    record->taken = 1;
    record->via = (unsigned char)who->via;
    record->tenant = rs_tally_key(registry, who->realm, who->tenant, NULL);
    record->user = *who->user ? rs_tally_key(registry, who->realm, who->tenant, who->user) : 0;
    record->token = rs_tally_token(registry, who->jti);
    record->realm = rs_tally_realm(registry, who->realm);
    record->room = *who->tenant && *who->user ? who->room : 0;
    record->waits = (unsigned char)who->waits;
    record->since = apr_time_now();
    put_address(record, who->address);
    text = stpcpy(text, who->tenant) + 1;
    text = stpcpy(text, who->user) + 1;
    text = stpcpy(text, who->profile);
    record->names = (unsigned char)(text - record->text);
    set_length(record, record->names + 1U);
}

/* lock */
static int take_seat(rs_registry_t *registry)
{
    apr_uint32_t used = registry->mine->used;

    if (registry->nfree) {
        return (int)registry->free_seats[--registry->nfree];
    }
    if (used == registry->in->seats) {
        return RS_NO_SEAT;
    }
    __atomic_store_n(&registry->mine->used, used + 1, __ATOMIC_RELEASE);
    return (int)used;
}

static void uncount(rs_registry_t *registry, const rs_seat_t *record)
{
    rs_tally_remove(registry, record->tenant);
    if (record->user) {
        rs_tally_remove(registry, record->user);
    }
}

/* For those who keep what they have counted. */
static void note_change(rs_registry_t *registry)
{
    __atomic_add_fetch(&registry->mine->came, 1, __ATOMIC_ACQ_REL);
}

/* Whether that is too many; those who died without a word are not counted then. */
static int is_over(rs_registry_t *registry, apr_uint64_t key, unsigned max)
{
    if (!max || !key || rs_tally_sum(registry, key) <= max) {
        return 0;
    }
    rs_registry_look(registry);
    return rs_tally_sum(registry, key) > max;
}

/* lock */
static rs_enter_t enter(rs_registry_t *registry, const rs_seat_t *record, const rs_arrival_t *who,
                        int *seat)
{
    rs_enter_t rv = RS_ENTERED;

    rs_tally_add(registry, record->tenant);
    if (record->user) {
        rs_tally_add(registry, record->user);
    }
    if (is_over(registry, record->user, who->user_max)) {
        rv = RS_ENTER_USER_FULL;
    }
    else if (is_over(registry, record->tenant, who->tenant_max)) {
        rv = RS_ENTER_TENANT_FULL;
    }
    else if ((*seat = take_seat(registry)) == RS_NO_SEAT) {
        rv = RS_ENTER_FAILED;
    }
    else {
        copy_in(rs_seat_own(registry, *seat), record, 0, words_of(record));
        note_change(registry);
    }
    if (rv != RS_ENTERED) {
        uncount(registry, record);
    }
    return rv;
}

rs_enter_t rs_registry_enter(rs_registry_t *registry, const rs_arrival_t *who, int *seat)
{
    rs_seat_t record;
    rs_enter_t rv;

    *seat = RS_NO_SEAT;
    compose(&record, registry, who);
    pthread_mutex_lock(&registry->lock);
    rv = enter(registry, &record, who, seat);
    pthread_mutex_unlock(&registry->lock);
    return rv;
}

void rs_registry_let_in(rs_registry_t *registry, int seat)
{
    rs_seat_t record;

    if (registry && seat != RS_NO_SEAT && rs_seat_read(&record, rs_seat_own(registry, seat))) {
        record.waits = 0;
        copy_in(rs_seat_own(registry, seat), &record, 0, 1);
        note_change(registry);
    }
}

/* A position that there is no room for (of many streams, with long names) is none. */
void rs_registry_note(rs_registry_t *registry, int seat, apr_uint64_t events, const char *position)
{
    rs_seat_t record;
    size_t from, n, end;
    int rest;

    if (!registry || seat == RS_NO_SEAT || !rs_seat_read(&record, rs_seat_own(registry, seat))) {
        return;
    }
    from = (size_t)record.names + 1;
    n = position && strlen(position) < sizeof(record.text) - from ? strlen(position) : 0;
    memcpy(record.text + from, position ? position : "", n);
    record.text[from + n] = '\0';
    record.events = events;
    rest = record.rest;
    end = set_length(&record, from + n);
    copy_in(rs_seat_own(registry, seat), &record, rest == record.rest ? WORD(events) : 0, end);
}

void rs_registry_renew(rs_registry_t *registry, int seat, const char *jti)
{
    rs_seat_t record;

    if (registry && seat != RS_NO_SEAT) {
        record.token = rs_tally_token(registry, jti);
        copy_in(rs_seat_own(registry, seat), &record, WORD(token), WORD(token) + 1);
    }
}

void rs_registry_leave(rs_registry_t *registry, int seat)
{
    rs_seat_t record;

    if (!registry || seat == RS_NO_SEAT || !rs_seat_read(&record, rs_seat_own(registry, seat))) {
        return;
    }
    record.taken = 0;
    pthread_mutex_lock(&registry->lock);
    copy_in(rs_seat_own(registry, seat), &record, 0, 1);
    note_change(registry);
    uncount(registry, &record);
    registry->served[seat] = (rs_served_t){NULL, NULL, 0};
    registry->free_seats[registry->nfree++] = (apr_uint32_t)seat;
    pthread_mutex_unlock(&registry->lock);
}

/* --- anybody --- */

static const char *id_of(const rs_registry_t *registry, apr_uint32_t place, apr_uint32_t seat,
                         const rs_seat_t *record, char buf[RS_CONNECTION_ID_LEN])
{
    rs_connection_id_t id = {(apr_uint64_t)place << 32 | seat, record->random, record->more};

    return rs_connection_id_format(buf, registry->node, &id, registry->secret);
}

const char *rs_registry_id(const rs_registry_t *registry, int seat, char buf[RS_CONNECTION_ID_LEN])
{
    const rs_seat_t *record = rs_seat_at(rs_seat_own(registry, seat));

    return id_of(registry, registry->place, (apr_uint32_t)seat, record, buf);
}

const char *rs_registry_node(const rs_registry_t *registry) { return registry->node; }

/* The place with this number, or, where there is none (any more), the next one. */
static rs_place_t *place_from(const rs_registry_t *registry, apr_uint32_t number,
                              apr_uint32_t *found, const rs_places_t **of)
{
    const rs_places_t *in;
    rs_place_t *place = NULL;

    for (in = registry->newest; in; in = in->older) {
        if (number < in->first + in->n) {
            *found = number > in->first ? number : in->first;
            place = &in->places[*found - in->first];
            *of = in;
        }
    }
    return place;
}

static void tell(const rs_registry_t *registry, apr_uint32_t place, apr_uint32_t seat,
                 const rs_seat_t *from, rs_record_t *record)
{
    size_t n;

    id_of(registry, place, seat, from, record->id);
    memcpy(record->text, from->text, sizeof(record->text));
    record->text[sizeof(record->text) - 1] = '\0';
    record->tenant = record->text;
    n = strlen(record->tenant) + 1;
    record->user = record->text + n;
    record->profile = record->user + strlen(record->user) + 1;
    record->position = record->text + from->names + 1;
    record->via = rs_via_names[from->via % RS_VIAS];
    record->since = from->since;
    record->events = from->events;
    record->remote[0] = '\0';
    if (from->family) {
        inet_ntop(from->family == 4 ? AF_INET : AF_INET6, from->address, record->remote,
                  sizeof(record->remote));
    }
}

rs_wanted_t rs_seat_wanted(const rs_registry_t *registry, const rs_whom_t *whom)
{
    rs_wanted_t w = {.token = rs_tally_token(registry, whom->jti),
                     .realm = rs_tally_realm(registry, whom->realm)};

    if (whom->tenant) {
        w.tenant = rs_tally_key(registry, whom->realm, whom->tenant, NULL);
    }
    if (whom->tenant && whom->user) {
        w.user = rs_tally_key(registry, whom->realm, whom->tenant, whom->user);
    }
    return w;
}

int rs_seat_is_wanted(const rs_wanted_t *w, const rs_seat_t *seat)
{
    return seat->realm == w->realm && (!w->tenant || seat->tenant == w->tenant)
           && (!w->user || seat->user == w->user) && (!w->token || seat->token == w->token);
}

static int is_wanted(const rs_wanted_t *w, const rs_whom_t *whom, const rs_seat_t *seat)
{
    const char *user = seat->text + strlen(seat->text) + 1;

    return rs_seat_is_wanted(w, seat) && (!whom->user || !strcmp(user, whom->user))
           && (!whom->profile || !strcmp(user + strlen(user) + 1, whom->profile));
}

/* Of very many most can be passed over after a word of each. */
static int may_be_wanted(const rs_wanted_t *w, const rs_seat_t *seat)
{
    return !w->tenant || __atomic_load_n(&seat->tenant, __ATOMIC_RELAXED) == w->tenant;
}

int rs_registry_next(rs_registry_t *registry, apr_uint64_t *at, const rs_whom_t *whom,
                     rs_record_t *record)
{
    rs_wanted_t w = rs_seat_wanted(registry, whom);
    apr_uint32_t number = (apr_uint32_t)(*at >> 32), seat = (apr_uint32_t)*at, found = 0;
    const rs_places_t *in;
    rs_place_t *place;
    rs_seat_t from;

    if (!*at) {
        rs_registry_look(registry);
    }
    while ((place = place_from(registry, number, &found, &in)) != NULL) {
        pid_t pid = __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE);
        apr_uint32_t used = pid > 0 ? __atomic_load_n(&place->used, __ATOMIC_ACQUIRE) : 0;

        for (seat = found == number ? seat : 0; seat < used && seat < in->seats; seat++) {
            rs_spot_t there = rs_places_spot(in, place, seat);

            if (may_be_wanted(&w, rs_seat_at(there)) && rs_seat_read(&from, there)
                && is_wanted(&w, whom, &from)) {
                tell(registry, found, seat, &from, record);
                record->pid = pid;
                *at = (apr_uint64_t)found << 32 | (seat + 1);
                return 1;
            }
        }
        number = found + 1;
        seat = 0;
    }
    return 0;
}

void rs_registry_each(rs_registry_t *registry, const rs_whom_t *whom,
                      void (*call)(void *baton, const rs_glance_t *one), void *baton)
{
    rs_wanted_t w = rs_seat_wanted(registry, whom);
    const rs_places_t *in;
    apr_uint32_t i, seat;
    rs_seat_t from;

    rs_registry_look(registry);
    for (in = registry->newest; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            rs_place_t *place = &in->places[i];
            apr_uint32_t used = __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE) > 0
                                    ? __atomic_load_n(&place->used, __ATOMIC_ACQUIRE)
                                    : 0;

            for (seat = 0; seat < used && seat < in->seats; seat++) {
                rs_spot_t there = rs_places_spot(in, place, seat);

                if (may_be_wanted(&w, rs_seat_at(there)) && rs_seat_read(&from, there)
                    && is_wanted(&w, whom, &from)) {
                    rs_glance_t one = {from.text, from.text + strlen(from.text) + 1, from.user,
                                       from.via};

                    call(baton, &one);
                }
            }
        }
    }
}

apr_uint32_t rs_registry_came(rs_registry_t *registry)
{
    const rs_places_t *in;
    apr_uint32_t i, sum = 0;

    rs_registry_look(registry);
    for (in = registry->newest; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            sum += __atomic_load_n(&in->places[i].came, __ATOMIC_ACQUIRE);
        }
    }
    return sum;
}

static int parse(const rs_registry_t *registry, const char *text, rs_connection_id_t *id)
{
    return !strncmp(text, registry->node, RS_NODE_LEN)
           && rs_connection_id_parse(id, text, registry->secret);
}

apr_uint64_t rs_registry_after(const rs_registry_t *registry, const char *text)
{
    rs_connection_id_t id;

    return parse(registry, text, &id) ? id.place + 1 : 0;
}

int rs_registry_find(rs_registry_t *registry, const char *realm, const char *text,
                     rs_record_t *record)
{
    apr_uint64_t at = rs_registry_after(registry, text);
    rs_whom_t whom = {.realm = realm};

    if (!at) {
        return 0;
    }
    at--;
    rs_registry_look(registry);
    return rs_registry_next(registry, &at, &whom, record) && !strcmp(record->id, text);
}
