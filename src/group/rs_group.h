/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's consumer group as a position that outlives everybody (RaglineStart group): the highest
 * id that one of the tenant's clients of an endpoint has accepted, on any server. Events are not
 * read through it: XINFO GROUPS shows it, the tenant's first client starts from it.
 *
 * The hub's thread; what streamers say of it is rs_accepted.
 */
#ifndef RS_GROUP_H
#define RS_GROUP_H

#include "../redis/rs_group_script.h"
#include "../redis/rs_loader.h"
#include "../log/rs_accepted.h"
#include "../log/rs_topics.h"

struct rs_group_t {
    /* Constant. */
    rs_accepted_t accepted; /* first: what streamers say */
    rs_group_t *next;       /* of the same topic */
    const char *pattern;    /* the endpoint's, with {tenant} */
    const char *name;

    /* Hub. */
    int clients;          /* connected now */
    int opened;           /* it exists in Redis */
    int due;              /* in the source's list of those to be opened or written */
    rs_group_t *next_due; /* there */
    rs_client_t *waiting; /* for its position; linked by msg.next */
    rs_cursor_t at;       /* as Redis has it, and: */
    rs_group_state_t state;
    int refused;  /* in this round */
    int failures; /* in a row */
};

/* That of the client; NULL: it has none. */
static inline rs_group_t *rs_group_of(const rs_client_t *client)
{
    return (rs_group_t *)client->accepted;
}

/* Hub. The client's group, if its endpoint has one; 0 when memory is short. */
int rs_group_join(rs_client_t *client);
void rs_group_leave(rs_client_t *client);

/* Hub. A client without an id starts where its group stands. 1: it has to wait for that, and
 * the hub's call place() is called. 0: it may be placed, at its position if it is `resuming`. */
int rs_group_start(rs_client_t *client);

/* Hub, once a second: writes the groups of this topic that have moved. */
void rs_group_sweep(rs_topic_t *topic);

/* Hub. A key is not what it was. */
void rs_group_broken(rs_topic_t *topic);

/* Hub, with the topic. */
void rs_group_forget(rs_topic_t *topic);
void rs_group_close(rs_source_t *source);

/* Hub. Whether something is still to be written. */
int rs_group_busy(const rs_source_t *source);

/* Hub: from where on the client, which is at its position now, has what the group has not. */
void rs_group_set_from(rs_client_t *client);

#endif
