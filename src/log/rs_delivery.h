/* SPDX-License-Identifier: Apache-2.0
 *
 * RaglineDelivery shared: one entry on its way to one client and back (group/rs_share.h tells the
 * whole way), and what a client is to its share.
 */
#ifndef RS_DELIVERY_H
#define RS_DELIVERY_H

#include "../base/rs_ring.h"
#include "rs_client.h"

typedef struct rs_lane_t rs_lane_t;
typedef struct rs_delivery_t rs_delivery_t;

/* What is to be said to Redis of an entry. */
typedef enum {
    RS_CHORE_ACK,
    RS_CHORE_AGAIN,  /* it is tried once more by this child: count that */
    RS_CHORE_RETURN, /* it is for whoever comes first */
    RS_CHORE_BURY    /* it was tried often enough */
} rs_chore_t;

/* An entry that this child has taken from the group. */
struct rs_delivery_t {
    rs_msg_t msg;   /* first: RS_MSG_DELIVER to the streamer, RS_MSG_DELIVERED back */
    rs_ring_t link; /* hub: it is always in one list */
    rs_lane_t *lane;
    rs_client_t *client; /* while it is out */
    rs_event_t *event;   /* NULL: nobody is to get it */
    rs_id_t id;
    int count;        /* how often it was delivered, as Redis counts */
    rs_chore_t chore; /* hub: once it is one */
    apr_time_t since; /* hub: waits for a client with room */
    int begun;        /* streamer: some of it was taken by the socket */
    int done;         /* streamer: all of it; where clients acknowledge: the client has it */
    apr_time_t sent;  /* streamer: when the socket had taken all of it */
    int passed;       /* streamer: its client said nothing of it, but of others */
};

/* Linked by msg.next. */
typedef struct {
    rs_msg_t *first, **last;
} rs_deliveries_t;

/* What a client has to do with its share: a member of both. */
struct rs_member_t {
    /* Constant. */
    rs_share_t *share;
    rs_client_t *client;
    rs_common_t *common;

    /* Hub. */
    rs_ring_t link;  /* in the share */
    rs_ring_t ready; /* among those with room */
    int out;         /* deliveries it has */
    size_t bytes;    /* in them */
    int room;        /* for more of them */
    int blocked;     /* it gave back what it could not take, and took nothing since */
    int left;        /* it has ended, and is freed when all it had is back */

    /* Streamer. */
    rs_deliveries_t due;  /* to be written */
    rs_deliveries_t open; /* written, and not acknowledged by the client */
    apr_time_t spoke;     /* when it acknowledged something last */
};

#endif
