/* SPDX-License-Identifier: Apache-2.0
 *
 * How the registry's memory looks. It outlives a restart, and with it the module's file may have
 * changed: who changes anything here makes another RS_REGISTRY_LAYOUT.
 */
#ifndef RS_REGISTRY_INT_H
#define RS_REGISTRY_INT_H

#include <pthread.h>
#include <stddef.h>

#include "rs_registry.h"

#define RS_REGISTRY_LAYOUT 5

/* A record: words, each read and written at once. Its owner makes `version` odd before it changes
 * anything and even after that: who reads looks whether it is the same even number before and
 * after. */
typedef struct {
    apr_uint32_t version;
    unsigned char taken : 1, via : 3, family : 4;
    unsigned char rest;  /* so many words of it stand apart */
    unsigned char names; /* the length of the names in text; a NUL and the position follow */
    unsigned char waits; /* nobody has let it in yet */
    apr_uint64_t tenant, user; /* keys of their tallies; user 0: nobody */
    apr_uint64_t token;        /* key of its id; 0: it has none */
    apr_uint64_t room;         /* as rs_arrival_t has it */
    apr_uint64_t random;
    apr_uint32_t more;
    apr_uint32_t realm;
    apr_time_t since;
    apr_uint64_t events;
    unsigned char address[16];
    char text[RS_RECORD_TEXT];
} rs_seat_t;

#define RS_SEAT_WORDS (sizeof(rs_seat_t) / sizeof(apr_uint64_t))

/* Few names are as long as they may be: so many words of each record stand together, with 72 bytes
 * of its text, and the others elsewhere, where memory that is not written to costs nothing. */
#define RS_SEAT_FRONT ((offsetof(rs_seat_t, text) + 72) / sizeof(apr_uint64_t))

/* Where a record stands. */
typedef struct {
    apr_uint64_t *front, *rest;
} rs_spot_t;

/* How many a tenant, or a user of one, has in this place. Chains, from 1 on; 0 ends one. A bucket's
 * version is as a record's, for taking one out. */
typedef struct {
    apr_uint32_t version, first;
} rs_bucket_t;

typedef struct {
    apr_uint64_t key;
    apr_uint32_t count, next;
} rs_tally_t;

/* A child's place. */
typedef struct {
    pid_t pid;         /* atomic: 0: free; negative: being made ready */
    apr_uint32_t used; /* atomic: no record from here on was ever taken */
    apr_uint32_t came; /* atomic: so often somebody came or went, or all did */
    char apart[52];    /* from the next child's */
} rs_place_t;

/* One mapping; further ones are made where a new configuration wants more of anything. */
typedef struct rs_places_t rs_places_t;

struct rs_places_t {
    rs_places_t *older;
    apr_uint32_t first; /* the number of its first place */
    apr_uint32_t n, seats, buckets;
    size_t stride, size;
    rs_place_t *places; /* shared, and so is what follows them: */
    char *bodies;       /* of each place: its records, buckets, tallies */
};

/* Which of the node's processes speaks for all of them: of all configurations there are. */
typedef struct {
    apr_uint64_t word;      /* atomic: its term, and in the lower half its pid; 0: nobody's */
    apr_time_t seen;        /* atomic: when it last said so */
    apr_int32_t generation; /* atomic */
} rs_lead_t;

/* Who serves a connection. */
typedef struct {
    rs_client_t *client; /* NULL: nobody yet */
    const char *doom;
    int streamer;
} rs_served_t;

/* The process's; a child has a copy of its own from the fork on. */
struct rs_registry_t {
    char node[RS_NODE_LEN + 1];
    unsigned char secret[16];
    rs_places_t *newest;
    rs_lead_t *lead;     /* shared */
    apr_uint32_t places; /* so many numbers were given out */

    /* A child's, of its own place. */
    pthread_mutex_t lock;
    rs_places_t *in;
    rs_place_t *mine;
    unsigned char key[16];    /* of what its ids have that nobody can guess */
    apr_uint64_t issued;      /* atomic: so many ids */
    apr_uint32_t place;       /* its number */
    rs_served_t *served;      /* lock: by seat */
    apr_uint32_t *free_seats; /* lock: a stack */
    apr_uint32_t nfree;       /* lock */
    apr_uint32_t tallies;     /* lock: so many were ever taken */
    apr_uint32_t free_tally;  /* lock: the first of a chain */
};

static inline apr_uint64_t *rs_places_body(const rs_places_t *in, const rs_place_t *place)
{
    return (apr_uint64_t *)(void *)(in->bodies + (size_t)(place - in->places) * in->stride);
}

static inline rs_spot_t rs_places_spot(const rs_places_t *in, const rs_place_t *place, size_t seat)
{
    apr_uint64_t *body = rs_places_body(in, place);
    rs_spot_t spot = {body + seat * RS_SEAT_FRONT,
                      body + in->seats * RS_SEAT_FRONT + seat * (RS_SEAT_WORDS - RS_SEAT_FRONT)};

    return spot;
}

static inline rs_bucket_t *rs_places_buckets(const rs_places_t *in, const rs_place_t *place)
{
    return (rs_bucket_t *)(rs_places_body(in, place) + in->seats * RS_SEAT_WORDS);
}

static inline rs_tally_t *rs_places_tallies(const rs_places_t *in, const rs_place_t *place)
{
    return (rs_tally_t *)(rs_places_buckets(in, place) + in->buckets);
}

/* rs_registry.c: those who died without a word give their places back. */
void rs_registry_look(rs_registry_t *registry);

/* rs_registry_seat.c: 0: nobody sits there. */
int rs_seat_read(rs_seat_t *to, rs_spot_t from);

/* What stands in front of all text, to its owner, and to others as a hint. */
static inline const rs_seat_t *rs_seat_at(rs_spot_t spot)
{
    return (const rs_seat_t *)(const void *)spot.front;
}

/* What is asked for, as keys; 0: any. */
typedef struct {
    apr_uint64_t tenant, user, token;
    apr_uint32_t realm;
} rs_wanted_t;

rs_wanted_t rs_seat_wanted(const rs_registry_t *registry, const rs_whom_t *whom);

/* By these keys alone. */
int rs_seat_is_wanted(const rs_wanted_t *wanted, const rs_seat_t *seat);

/* Of this child's. */
static inline rs_spot_t rs_seat_own(const rs_registry_t *registry, int seat)
{
    return rs_places_spot(registry->in, registry->mine, (size_t)seat);
}

/* rs_registry_tally.c; of this child's place, under its lock. */
void rs_tally_add(rs_registry_t *registry, apr_uint64_t key);
void rs_tally_remove(rs_registry_t *registry, apr_uint64_t key);

/* In this child's place alone. */
unsigned rs_tally_own(const rs_registry_t *registry, apr_uint64_t key);

/* Over all places. */
unsigned rs_tally_sum(const rs_registry_t *registry, apr_uint64_t key);

/* Which realm, for records to be told apart by. */
apr_uint32_t rs_tally_realm(const rs_registry_t *registry, const char *realm);

/* Of a token's id; 0: NULL. */
apr_uint64_t rs_tally_token(const rs_registry_t *registry, const char *jti);

/* Never 0. user NULL: the tenant's. */
apr_uint64_t rs_tally_key(const rs_registry_t *registry, const char *realm, const char *tenant,
                          const char *user);

#endif
