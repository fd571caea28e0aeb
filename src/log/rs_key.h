/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis key that is being read, and how far. A stream that all tenants share has one for as long
 * as the child lives (rs_reader reads it); one with {tenant} in its key has one for each tenant
 * that has topics (rs_watcher reads it). The hub's thread.
 */
#ifndef RS_KEY_H
#define RS_KEY_H

#include "../redis/rs_batch.h"
#include "../redis/rs_watcher.h"
#include "rs_known.h"

typedef struct rs_key_t rs_key_t;

struct rs_key_t {
    /* Constant. */
    const char *name;
    rs_source_t *source;
    int stream;          /* of the source */
    rs_tenant_t *tenant; /* whose own it is; NULL: everybody's */

    /* Hub. */
    rs_known_t now;
    rs_batch_t size; /* how many of its entries to ask for */
    int shares;      /* shares that read it, each for itself */
    int is_moved;    /* in the source's list of keys of which `shown` is not yet `now` */
    rs_key_t *next_moved;

    /* Hub, of a tenant's own. */
    rs_watch_t watch;
    rs_key_t *next; /* of the same tenant */
    int topics;     /* that read it */
    int unwatched;  /* it was not watched all the time since the last look */
    int only_look;  /* this turn asks where it stands and reads nothing */
    int count;      /* what the read of this turn asked for */
    redisReply *held;
    int behind;    /* it holds more than was read */
    int left_out;  /* not a stream now, or: */
    int forbidden; /* not to be read */
    int unseen;    /* it never was to be read: what it holds is not known */

    rs_known_t shown; /* source->lock: `now`, once streamers can find all of it */
};

/* Streamers can find all that was appended to topics: so they may know how far keys were read. */
void rs_key_publish(rs_source_t *source);

#endif
