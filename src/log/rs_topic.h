/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of one (Redis URL, set of keys, tenant): the newest events of that tenant in arrival
 * order, numbered without gaps. The hub appends and trims; streamers read from any number that is
 * still there. A subscriber is a number in a topic, never a queue.
 *
 * Life: the hub makes a topic at the tenant's first connection and frees it some time after the
 * last one ended. A streamer knows a topic only through its rs_follow_t, and only while the hub
 * counts at least one client there or has not had the answer to RS_MSG_UNFOLLOW.
 */
#ifndef RS_TOPIC_H
#define RS_TOPIC_H

#include "../proto/rs_cursor.h"
#include "rs_common.h"
#include "rs_event.h"
#include "../redis/rs_loader.h"
#include "rs_key.h"

typedef struct rs_feed_t rs_feed_t;

/* A topic on one streamer. */
typedef struct {
    rs_msg_t dirty;        /* first: RS_MSG_DIRTY in the streamer's inbox */
    rs_msg_t unfollow;     /* RS_MSG_UNFOLLOW there, RS_MSG_UNFOLLOWED back in the hub's */
    int queued;            /* atomic: `dirty` is in the inbox */
    apr_uint64_t consumed; /* atomic: all its feeds have what is below */
    int clients;           /* hub */
    int leaving;           /* hub: `unfollow` is under way */
    rs_topic_t *topic;
    rs_inbox_t *streamer; /* constant: whose it is */
    rs_feed_t *feeds;     /* streamer */
} rs_follow_t;

struct rs_topic_t {
    /* Constant. */
    rs_source_t *source;
    apr_uint64_t streams; /* a bit for each stream of the source */
    int nstreams;
    apr_uint16_t stream[RS_STREAMS_MAX]; /* their indices, ascending */
    rs_key_t *key[RS_STREAMS_MAX];       /* what is read of them */
    rs_cursor_tags_t tags;               /* of the keys */

    /* Hub. */
    rs_topic_t *next; /* of the same tenant */
    rs_tenant_t *owner;
    int clients;
    int uses; /* jobs that are about it, and keep it */
    rs_group_t *groups;
    struct rs_backfill_t *backfill; /* of a tenant's own keys: nobody else's waits with it */
    rs_queue_t queue;               /* what its readers want to have read from Redis */
    rs_client_t *starting;          /* that want its newest events: rs_backfill.h */
    apr_time_t pass_after;          /* its readers have no part in a pass before that */
    rs_client_t *waiting;           /* to know where its keys stand; linked by msg.next */
    apr_time_t idle_since;          /* when the last client left */
    rs_topic_t *older, *newer;      /* by last append: who loses its log first */
    int listed;                     /* in that list */
    int visited;                    /* a client came since the streamers were asked to forget it */
    int dirty;                      /* appended to since streamers were told */
    rs_follow_t *follows[RS_STREAMERS_MAX];

    pthread_mutex_t lock;
    rs_event_t **ring;             /* lock */
    size_t size;                   /* lock: a power of two, or 0 */
    apr_uint64_t first, next_seq;  /* lock: what the ring holds is [first, next_seq) */
    int removed;                   /* lock: something, since anything was put in front */
    apr_uint64_t arrived;          /* lock: this number and those after it never were another's */
    unsigned front;                /* lock: so often those below were given out anew */
    unsigned losses;               /* lock: of data, of its keys, that it was broken for */
    rs_id_t start[RS_STREAMS_MAX]; /* lock: nothing after these positions is missing */
    int trimmed;                   /* lock: `start` moved on since somebody set this to 0 */
    size_t bytes;                  /* lock */
};

/* What a topic keeps: everything of the last two seconds, so that a burst is there when its
 * streamers come to it, and older events up to this much. A reader that stops therefore costs what
 * Redis keeps, not what we keep. */
#define RS_TOPIC_BYTES_MAX ((size_t)1024 * 1024)
#define RS_TOPIC_KEEP_MSEC 2000

/* key: what is read of these streams, in their order. Complete from the keys' present positions
 * on. */
rs_topic_t *rs_topic_create(rs_source_t *source, apr_uint64_t streams, rs_key_t *const *key);
void rs_topic_free(rs_topic_t *topic);

/* Hub. Takes over the reference. full: no event is kept for its time. Returns by how much the
 * memory of all topics changed. */
apr_int64_t rs_topic_append(rs_topic_t *topic, rs_event_t *event, apr_time_t now, int full);

/* Hub. Puts an older event in front of all others: everything between it and the present start of
 * its stream is here, or was put here before. Takes over the reference; returns as append. */
apr_int64_t rs_topic_prepend(rs_topic_t *topic, rs_event_t *event, apr_time_t now);

/* Hub. Nothing after this position is missing in the topic's k-th stream. */
void rs_topic_complete_from(rs_topic_t *topic, int k, rs_id_t start);

/* Hub. Nobody is served from a position below this any more. */
void rs_topic_raise(rs_topic_t *topic, int k, rs_id_t start);

/* From which number on a reader at this position has to read; those of its streams that it already
 * has may be among them if there are several streams. 0: what it misses is not all here. *front (it
 * may be NULL): to be told to rs_topic_read(), since what is put in front later may get numbers
 * that others had before, and with several streams in another order. */
apr_uint64_t rs_topic_seek(rs_topic_t *topic, const rs_cursor_t *cursor, unsigned *front);

/* The k of a stream of the source. */
static inline int rs_topic_k(const rs_topic_t *topic, int stream)
{
    int k = 0;

    while (topic->stream[k] != stream) {
        k++;
    }
    return k;
}

/* Nothing after these positions is missing. Any thread. */
void rs_topic_start(rs_topic_t *topic, rs_id_t start[RS_STREAMS_MAX]);

/* Hub. Whether it is known where all of its keys stand. */
int rs_topic_known(const rs_topic_t *topic);

/* Hub. A key's position became known: the topic begins there. */
void rs_topic_begin(rs_topic_t *topic, const rs_key_t *key);

/* Whether this key, of its source and its tenant, is among its streams. */
static inline int rs_topic_reads(const rs_topic_t *topic, const rs_key_t *key)
{
    return (topic->streams & ((apr_uint64_t)1 << key->stream)) != 0;
}

/* Whether its keys are its tenant's own. */
static inline int rs_topic_is_own(const rs_topic_t *topic) { return topic->key[0]->tenant != NULL; }

/* Hub. Forgets everything kept; returns the bytes given back. */
size_t rs_topic_clear(rs_topic_t *topic);

/* Hub. Clears it and leaves out a number: every reader finds that its next event is not kept. */
size_t rs_topic_break(rs_topic_t *topic);

/* The number that the next event will have. */
apr_uint64_t rs_topic_next(rs_topic_t *topic);

/* The same, and the position there as the newest event kept has it; `cursor` is only raised. */
apr_uint64_t rs_topic_tail(rs_topic_t *topic, rs_cursor_t *cursor);

/* Of data, that it was broken for. While this is not what the keys say of themselves, what it holds
 * and where they stand do not belong together: a moment later they do. Any thread. */
unsigned rs_topic_losses(rs_topic_t *topic);

/* Copies up to max events from number seq on, with a reference each. front: of rs_topic_seek(), or
 * 0 for who has read from the end of the topic on. Returns how many, or -1 when what had that
 * number then is no longer kept. Any thread. */
int rs_topic_read(rs_topic_t *topic, apr_uint64_t seq, unsigned front, rs_event_t **events,
                  int max);

/* Hub. The topic on this streamer, made if it is new; NULL when memory is short. */
rs_follow_t *rs_topic_follow(rs_topic_t *topic, rs_inbox_t *streamer, int index);

#endif
