/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of one topic, one endpoint and one subscription on one streamer: they get the same
 * bytes, so an event is looked at once for all of them and written from one iovec. The streamer's
 * thread.
 */
#ifndef RS_FEED_H
#define RS_FEED_H

#include "../log/rs_client.h"
#include "../log/rs_subscription.h"

/* What the inner loop needs of a client, side by side: for a plain socket the client itself is
 * not touched. */
typedef struct {
    int fd; /* -1: not a plain socket, ask the client's transport */
    rs_client_t *client;
} rs_slot_t;

struct rs_feed_t {
    rs_feed_t *next; /* of the same topic */
    rs_follow_t *follow;
    const rs_profile_t *profile;
    rs_subscription_t *subscription; /* NULL: everything that is the endpoint's */
    rs_accepted_t *accepted;         /* by the group of all its clients */
    apr_uint64_t seq;                /* every LIVE client has everything below */
    rs_cursor_t pos;                 /* the position after the event before that */
    unsigned losses;                 /* of data, up to that: rs_verdict.h */
    rs_cursor_t from;                /* since here the LIVE ones together have everything */
    apr_uint64_t sent;               /* events to all LIVE clients */
    apr_time_t last_out;
    int live, size;
    int members; /* LIVE and others */
    rs_slot_t *slots;
};

/* The feed of the client's endpoint, made if it is the first; NULL when memory is short. */
rs_feed_t *rs_feed_join(rs_follow_t *follow, rs_client_t *client);

/* To the feed of this subscription, which is taken over. It is BEHIND then, where it stood. 0 when
 * memory is short: it can only be ended. */
int rs_feed_move(rs_client_t *client, rs_subscription_t *subscription);

/* Frees the feed with its last member. */
void rs_feed_leave(rs_client_t *client);

/* Makes the client LIVE: it must have what the feed has. 0 when memory is short. */
int rs_feed_enter(rs_client_t *client);

/* When something was last written to it: by itself, or, while LIVE, as to one of its feed. */
apr_time_t rs_feed_last_out(const rs_client_t *client);

/* Takes it out of the LIVE ones; its position is the feed's. 0 when memory is short: it is out, but
 * has no position, and can only be ended. */
int rs_feed_exit(rs_client_t *client);

/* Sends what the topic has to all LIVE clients. Those that are gone or cannot take all of it are
 * taken out and given to the callbacks, which may end them. */
typedef struct {
    void (*gone)(void *baton, rs_client_t *client);
    void (*behind)(void *baton, rs_client_t *client);
    void (*lost)(void *baton, rs_client_t *client); /* the topic is ahead of what it keeps */
    void *baton;
} rs_feed_calls_t;

/* At most some batches a call: returns 1 when there is more. */
int rs_feed_flush(rs_feed_t *feed, const rs_feed_calls_t *calls, apr_time_t now);

/* The feed has everything up to the source's position, if nothing has been appended since that was
 * read (the hub appends before it publishes a position). Then that is where its readers stand. */
int rs_feed_up_to_date(rs_feed_t *feed);

#endif
