/* SPDX-License-Identifier: Apache-2.0
 *
 * One open stream: a position in a topic and a connection. A worker makes it, the hub gives it its
 * topic and streamer, then the streamer alone touches it until it hands it back to the hub.
 *
 *   LIVE     has everything its feed has sent; the feed writes to it with all the others
 *   BEHIND   its socket is full, or it is new: goes on by itself from `seq`
 *   CLOSING  a last frame is on its way
 *   LINGER   everything is written, waits for the peer to close, at most two seconds
 */
#ifndef RS_CLIENT_H
#define RS_CLIENT_H

#include "../base/rs_inbox.h"
#include "rs_gate.h"
#include "rs_topic.h"
#include "../transport/rs_transport.h"
#include "../base/rs_wheel.h"

typedef enum { RS_NEW, RS_LIVE, RS_BEHIND, RS_CLOSING, RS_LINGER } rs_client_state_t;

/* Of a client that is not LIVE: a LIVE one's position is its feed's. */
typedef struct {
    rs_cursor_t own; /* what it has accepted: its next id is never below */
    unsigned front;  /* of its topic, as it found its place there */
    apr_uint64_t replayed;
    int announce;     /* a caught_up event is owed */
    unsigned losses;  /* of data, when it was judged last: rs_verdict.h */
    int ended;        /* hub: it came from before its keys may have ended and begun anew */
    int missed;       /* streamer: likewise, by an id that it said; it is to be told */
    int want;         /* hub: so many of the newest events have not been found yet */
    int along;        /* hub: it joined a pass that was under way */
    int unmeasured;   /* it may be more than RaglineReplayLimit behind: */
    int scanned;      /* entries that were looked at for it since */
    rs_cursor_t from; /* of a group: since here it has, or others of its feed had, everything */
    apr_time_t ahead; /* it has more than was read here: when Redis is asked again */
    apr_time_t until; /* of a wire with one batch: when its time is over */
    size_t bytes;     /* likewise: what it was sent of events */
    int said;         /* likewise: something was said that ends the waiting */
} rs_resume_t;

struct rs_client_t {
    rs_msg_t msg; /* first */
    rs_timer_t timer;
    rs_conn_t conn;
    const rs_profile_t *profile;
    rs_topic_t *topic;   /* from the hub on; NULL: shared delivery, gateway, or refused */
    rs_gate_t *gate;     /* of the gateway: its own reference; it has no topic, and no position */
    rs_member_t *member; /* from the hub on; shared delivery: it has no position */
    rs_follow_t *follow;
    rs_inbox_t *streamer;    /* once it is attached */
    rs_accepted_t *accepted; /* by the group of its tenant and endpoint; NULL: there is none */
    rs_feed_t *feed;
    rs_resume_t *resume; /* NULL while LIVE */
    rs_fetch_t *fetch;   /* events that the topic does not hold, or that are on their way */
    rs_hearing_t *hearing;                 /* of a wire that understands its clients */
    const rs_subscription_t *subscription; /* its feed's; NULL: everything */
    char *early;                           /* what it sent before the stream began: its own block */
    size_t early_len;
    int slot;            /* in the feed, while LIVE */
    int seat;            /* in the registry; RS_NO_SEAT: none (any more) */
    int wants_out;       /* something waits for room */
    int polled;          /* what the poller reports of it */
    apr_uint64_t seq;    /* unless LIVE: the number to be sent next */
    apr_uint64_t events; /* that it got; LIVE: less what its feed has sent */
    rs_event_t *pinned;  /* begun and not finished: nothing else may be written before */
    size_t pinned_off;
    apr_time_t last_out; /* LIVE: if the feed has written nothing since it entered that */
    apr_time_t since;    /* wants_out: when that began; LIVE: when it entered its feed */
    apr_time_t deadline; /* CLOSING, LINGER; or when a fetch is tried again */
    apr_time_t expires;  /* of the token, on the monotonic clock; 0: never */
    apr_time_t challenge;      /* when a new one is asked for; 0: it is not, or was */
    apr_time_t reauthorize;    /* when it has to come anew; 0: never */
    apr_uint64_t place;        /* which URL of which host it came to */
    const unsigned char *says; /* what the token says (rs_jwt_says()); NULL: there was none */
    rs_client_state_t state;
    int resuming;         /* hub: it starts at a position, and has what was before */
    const char *recovery; /* the verdict, and why */
    const char *reason;
    rs_id_t first;       /* with "reset", if there is one stream: its oldest id */
    const char *refused; /* instead of all that: why the stream cannot start */
    const char *cursor;  /* as the request brought it; "": none */
    const char *tenant;
    const char *user; /* "" when there is none */
    const char *tenant_json;
    const char *user_json;
    char text[]; /* those five, and what the token says */
};

typedef struct {
    rs_conn_t conn;
    const rs_profile_t *profile;
    rs_gate_t *gate; /* NULL, or a reference that is the client's from now on */
    const char *tenant, *user, *tenant_json, *user_json;
    apr_time_t expires;       /* wall clock; 0: never */
    apr_interval_time_t lives; /* the token, from its first moment to its last */
    apr_uint64_t place;
    const unsigned char *says; /* of the token, where it may be followed by another; NULL: not */
    const char *cursor;       /* "": none */
    apr_interval_time_t wait; /* of a wire with one batch: how long */
    const char *early;        /* what the client has sent already, where that means something */
    size_t early_len;
    int seat; /* in the registry, which is the client's from then on */
} rs_client_params_t;

/* On failure (NULL) the descriptor is still the caller's. Any thread. */
rs_client_t *rs_client_create(const rs_client_params_t *params);

/* Closes the connection and frees everything. Whoever owns it at that moment. */
void rs_client_destroy(rs_client_t *client);

/* Until then its token is good (wall clock; 0: for ever), which lives so long in all. Whoever owns
 * it. */
void rs_client_expires(rs_client_t *client, apr_time_t expires, apr_interval_time_t lives);

/* Whether the event is for this client's endpoint, and, when the endpoint asks, for its user. */
int rs_client_wants(const rs_client_t *client, const rs_event_t *event);
int rs_client_wants_entry(const rs_client_t *client, const char *type, size_t type_len,
                          const char *user, size_t user_len);

#endif
