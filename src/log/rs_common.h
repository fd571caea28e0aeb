/* SPDX-License-Identifier: Apache-2.0
 *
 * What the threads of a child have in common: settings, counters, and each other's inboxes. The
 * hub's thread and the streamers' never call each other: what one has to tell another is a message,
 * and everything that a message is about stands in this room.
 */
#ifndef RS_COMMON_H
#define RS_COMMON_H

#include "../base/rs_inbox.h"
#include "rs_census.h"
#include "rs_gate.h"
#include "rs_registry.h"
#include "rs_stats.h"

#define RS_STREAMERS_MAX 4

/* Messages: who → whom, and what they are about. */
enum {
    RS_MSG_ATTACH,     /* hub → streamer: a client, with its follow and number */
    RS_MSG_DIRTY,      /* hub → streamer: a follow whose topic has news */
    RS_MSG_UNFOLLOW,   /* hub → streamer: forget this follow */
    RS_MSG_DRAIN,      /* engine → streamer: end every client */
    RS_MSG_ORDER,      /* hub → streamer: what is to be done with some of its clients */
    RS_MSG_SUBMIT,     /* worker → hub: a new client */
    RS_MSG_RELEASE,    /* streamer → hub: a client that has ended */
    RS_MSG_FETCH,      /* streamer → hub: what a reader misses */
    RS_MSG_FETCHED,    /* hub → streamer */
    RS_MSG_UNFOLLOWED, /* streamer → hub */
    RS_MSG_DELIVER,    /* hub → streamer: an event for one client of a share */
    RS_MSG_DELIVERED,  /* streamer → hub: whether it was */
    RS_MSG_RESOLVED,   /* resolver → hub: the address of a name */
    RS_MSG_CALL,       /* streamer → callbacks: one to be made */
    RS_MSG_CALLED,     /* callbacks → streamer: a gate whose connect callback is done */
    RS_MSG_SEND,       /* worker → streamer: what a gate is to be sent */
    RS_MSG_CLAIM,      /* streamer → ledger: a gate that wants its identity */
    RS_MSG_CLAIMED,    /* ledger → streamer: whether it has it */
    RS_MSG_ASKED,      /* streamer → ledger: a gate whose back end is being asked; */
    RS_MSG_ARRIVED,    /* that has had what was kept for its identity; */
    RS_MSG_ENDED,      /* that has ended */
    RS_MSG_TOLD,       /* callbacks → ledger: what became of telling of an end; */
    RS_MSG_TOLD_AGAIN, /* of telling once more */
    RS_MSG_STOP        /* engine → hub, ledger */
};

struct rs_common_t {
    /* Constant once threads run. */
    size_t cache;       /* bytes, all topics together */
    size_t max_message; /* bytes */
    int nstreamers;     /* 1 to RS_STREAMERS_MAX */
    rs_inbox_t *hub;
    rs_inbox_t *streamer[RS_STREAMERS_MAX];
    rs_inbox_t *callbacks;    /* NULL: none are made */
    rs_inbox_t *ledger;       /* NULL: there is none */
    rs_stats_t *stats;        /* atomics */
    rs_registry_t *registry;  /* NULL: there is none */
    rs_renewals_t *renewals;  /* NULL: nobody brings any */

    rs_census_t census;
    rs_gates_t gates;
    rs_backends_t backends;

    size_t pinned;     /* atomic: bytes of events that some client is in the middle of */
    size_t unfinished; /* atomic: bytes of what clients have begun to say and not finished */
    int connections;   /* atomic: places taken, by clients that were not yet destroyed, too */
    int arriving;      /* atomic: of these, by clients that no streamer has had yet */
};

/* To the hub: RS_MSG_SUBMIT, _RELEASE, _FETCH, _UNFOLLOWED, _DELIVERED. Any thread; never fails:
 * after the hub has ended, clients are destroyed on the spot. */
void rs_common_tell_hub(rs_common_t *common, rs_msg_t *msg, int kind);

/* Gives a place back that no client has got. Any thread. */
void rs_common_unreserve(rs_common_t *common);

/* A streamer has the client from now on. */
void rs_common_arrived(rs_common_t *common);

/* Ends a client that no streamer has, or has any more, and gives its place back. Its owner. */
void rs_common_destroy(rs_common_t *common, rs_client_t *client);

#endif
