/* SPDX-License-Identifier: Apache-2.0
 *
 * RaglineDelivery shared: the clients of a tenant at an endpoint are competing consumers of the
 * tenant's consumer group. An rs_share_t is those of this child, a lane one stream of it. A share
 * reads the group only while one of its clients has room: what is not read waits in Redis, for
 * whoever has room first.
 *
 *   group ──► waiting ──► out (with a client's streamer) ──► its socket took it: acknowledged
 *                ▲          │
 *                └──────────┘ the client is gone, or takes nothing now
 *
 * Hub: rs_share.c (clients, who gets what), rs_lane.c and rs_lane_ask.c (what is said to Redis, and
 * what Redis says). Streamer: stream/rs_deliver.c.
 */
#ifndef RS_SHARE_H
#define RS_SHARE_H

#include "../log/rs_delivery.h"
#include "../log/rs_source.h"
#include "../log/rs_tenants.h"
#include "../log/rs_topics.h"

/* Entries of others that are taken over. */
#define RS_LANE_CLAIMS 64
typedef struct {
    rs_id_t id;
    int count;
} rs_claim_t;

#define RS_LANE_STEPS 160
typedef struct {
    unsigned char kind;
    unsigned char chores; /* that it is about: the first ones that were sent */
} rs_step_t;

struct rs_lane_t {
    rs_watch_t watch;
    rs_share_t *share;
    rs_key_t *key;
    rs_key_t own;     /* that, if it is the tenant's own */
    int open;         /* 0: nothing in it can be this tenant's */
    int state;        /* of the group: rs_lane_int.h */
    int lost;         /* it was lost once */
    int known;        /* clients may begin */
    rs_id_t last;     /* read last */
    rs_ring_t chores; /* to be sent */
    rs_ring_t sent;   /* and not answered */
    int nchores;      /* both */
    int recover;      /* replies may have been lost: look what is ours */
    int recovering;   /* the look that is under way is that one */
    int swept;        /* our consumer was deleted */
    int again;        /* another turn is wanted */
    apr_time_t pause; /* Redis refused something: until then it is left in peace */
    apr_time_t next_look, next_sweep, next_touch;
    apr_time_t look_after; /* something old was refused: no hurry with the others until then */
    apr_interval_time_t look_interval;
    rs_claim_t claims[RS_LANE_CLAIMS];
    int nclaims;
    rs_batch_t size;                /* how many entries to ask for */
    int asked;                      /* for so many */
    rs_step_t steps[RS_LANE_STEPS]; /* of this turn */
    int nsteps;
};

#define RS_SHARE_NAME_MAX 160
#define RS_SHARE_KEY_MAX (RS_NAME_MAX + 24)

struct rs_share_t {
    rs_ring_t link;               /* in the source */
    char index[RS_SHARE_KEY_MAX]; /* what it is found by */
    rs_source_t *source;
    const rs_profile_t *profile;
    rs_tenant_t tenant; /* its name; nobody finds topics by this one */
    char *group;
    char me[RS_SHARE_NAME_MAX]; /* the consumer */
    rs_ring_t members, ready, waiting, out;
    int nmembers; /* that have not left */
    int room;     /* of all */
    int nout;
    rs_client_t *joining; /* until all lanes are known; linked by msg.next */
    int nlanes;
    rs_lane_t lanes[];
};

/* --- for the hub --- */

/* A new client of an endpoint with shared delivery. */
void rs_share_join(rs_client_t *client);

/* It has ended. 1: it may be destroyed now; 0: it will be. */
int rs_share_leave(rs_client_t *client);
void rs_share_delivered(rs_delivery_t *delivery);

/* The source's watcher is up, or not any more. */
void rs_shares_up(rs_source_t *source, int up);

/* Does what is due and returns when to be called again. */
apr_time_t rs_shares_turn(rs_source_t *source, apr_time_t now);

/* Whether Redis has to be told something yet. */
int rs_shares_busy(const rs_source_t *source);
void rs_shares_close(rs_source_t *source);

/* --- rs_share.c for rs_lane.c --- */

/* An entry to be delivered, or given back if nobody is there any more. */
void rs_share_wait(rs_delivery_t *delivery);

/* Gives what waits to clients with room. */
void rs_share_dispatch(rs_share_t *share);

/* How many more events clients can take now. */
int rs_share_room(const rs_share_t *share);

/* Clients that waited for the lanes to be known may begin. */
void rs_share_known(rs_share_t *share);
void rs_delivery_free(rs_delivery_t *delivery);

/* --- rs_lane.c for rs_share.c --- */

void rs_lane_open(rs_lane_t *lane, rs_share_t *share, int stream);
void rs_lane_close(rs_lane_t *lane);
void rs_lane_chore(rs_delivery_t *delivery, rs_chore_t chore);
void rs_lane_touch(rs_lane_t *lane);

/* Whether something is due that no change of the key brings about. */
int rs_lane_is_due(const rs_lane_t *lane, apr_time_t now);
void rs_lane_recover(rs_lane_t *lane, apr_time_t now);

/* Whether there is nothing more to say to Redis, the last client having left. */
int rs_lane_is_over(const rs_lane_t *lane);

#endif
