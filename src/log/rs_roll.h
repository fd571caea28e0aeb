/* SPDX-License-Identifier: Apache-2.0
 *
 * The roll: which users a node has, and how many connections each of them, as the registry says it
 * of all children; and what Redis was told of that. The hub of one child of the node. It takes no
 * lock, and nobody who comes or goes waits for it.
 */
#ifndef RS_ROLL_H
#define RS_ROLL_H

#include "../base/rs_ring.h"
#include "rs_registry.h"

typedef struct rs_roll_t rs_roll_t;
typedef struct rs_present_t rs_present_t;

/* Redis has none. */
#define RS_PRESENT_NOT (-1)

/* A user in one room. */
struct rs_present_t {
    rs_ring_t link;     /* in the roll's `open`: Redis has, or will have, to be told something */
    rs_present_t *next; /* in the bucket */
    apr_uint64_t room;
    apr_uint32_t hash;
    int count;             /* connections */
    int told;              /* what Redis has */
    apr_time_t gone;       /* when the last connection went; 0: there are some */
    apr_time_t not_before; /* Redis refused it */
    const char *user;
    char tenant[];
};

/* Of those connections that are of this realm. NULL: memory is short. */
rs_roll_t *rs_roll_create(rs_registry_t *registry, const char *realm);
void rs_roll_free(rs_roll_t *roll);

/* Brings it up to what the registry says now. 0: there is more to look at, soon. */
int rs_roll_call(rs_roll_t *roll, apr_time_t now);

/* It is not known any more what Redis has. */
void rs_roll_unknown(rs_roll_t *roll);

/* Redis has this of a user. */
void rs_roll_known(rs_roll_t *roll, const char *tenant, const char *user, apr_uint64_t room,
                   int count, apr_time_t now);

/* The next one of whom there is something to tell at `now`, after this one (NULL: the first); and
 * what that is, a number or RS_PRESENT_NOT. Who has gone and comes back soon has not gone. */
rs_present_t *rs_roll_next(rs_roll_t *roll, rs_present_t *after, apr_time_t now, int *count);

/* Redis was told. It may be gone with that. */
void rs_roll_told(rs_roll_t *roll, rs_present_t *present, int count);

/* So many users, each in each of its rooms. */
unsigned rs_roll_size(const rs_roll_t *roll);

#endif
