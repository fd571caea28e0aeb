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

typedef struct rs_tenant_t rs_tenant_t;
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

/* What Redis says of the key, and the entries that were read just before it said so (an array of
 * them; NULL: none), of which there may be more if `full`. They go to the topics of their tenants;
 * readers are told of what is lost, or was removed before it was read. 0: those are no entries. */
int rs_key_take(rs_key_t *key, const rs_history_t *history, const redisReply *entries, int full,
                int watched);

/* A read found nothing. */
void rs_key_answered(rs_key_t *key);

/* Streamers can find all that was appended to topics: so they may know how far keys were read. */
void rs_key_publish(rs_source_t *source);

/* rs_tenant_key.c: the tenant's own key of this stream, made if it is new, for one more topic; NULL
 * when memory is short. */
rs_key_t *rs_tenant_key_open(rs_tenant_t *tenant, int stream);
void rs_tenant_key_close(rs_key_t *key);

/* Once a second: those that may not be read are tried again. */
void rs_tenant_key_sweep(rs_tenant_t *tenant);

/* Watching began (again). */
void rs_tenant_key_unwatched(rs_tenant_t *tenant);

#endif
