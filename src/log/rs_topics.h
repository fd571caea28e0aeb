/* SPDX-License-Identifier: Apache-2.0
 *
 * All topics of a child: made when a tenant's first client comes, appended to, told of to their
 * streamers, and together bounded by RaglineCache: the topics that were quiet longest lose what
 * they keep. The hub's thread.
 */
#ifndef RS_TOPICS_H
#define RS_TOPICS_H

#include "../base/rs_buf.h"
#include "rs_topic.h"

/* What has to be done above this room: handed in by the hub, which runs all of it. */
typedef struct {
    /* The tenant's own key of this stream, made if it is new, for one more topic; NULL when memory
     * is short. And the end of that. */
    rs_key_t *(*open_key)(rs_tenant_t *tenant, int stream);
    void (*close_key)(rs_key_t *key);
    void (*topic_made)(rs_topic_t *topic);

    /* The client's group is known: it is placed, at its position if it is `resuming`. */
    void (*place)(rs_client_t *client);
    /* It has its number, or a reason to be refused: to its streamer. */
    void (*attach)(rs_client_t *client);
    /* One without a topic: to one of the streamers; with the next turn to another one. 0: that has
     * ended. */
    int (*attach_to)(rs_client_t *client, int turn);
    /* One that has a topic is sent away for a while: Redis does not answer. */
    void (*refuse)(rs_client_t *client);
} rs_hub_calls_t;

struct rs_topics_t {
    rs_common_t *common;
    const rs_hub_calls_t *calls;
    rs_buf_t scratch; /* for what is framed */
    apr_time_t now;   /* when this turn of the hub began */

    size_t bytes;                /* that all of them keep */
    rs_topic_t *oldest, *newest; /* all, by last append; linked by `older` and `newer` */
    rs_topic_t **dirty;          /* appended to since their streamers were told */
    int ndirty, dirty_size;
    size_t untold; /* bytes of that */
};

/* Lets go of everything; no topic is left. */
void rs_topics_close(rs_topics_t *topics);

/* The tenant's topic for this set of streams, made if it is new; NULL when memory is short. */
rs_topic_t *rs_topics_get(rs_topics_t *topics, rs_source_t *source, const char *tenant,
                          apr_uint64_t streams);

/* Takes it out and frees it; nobody has it any more. */
void rs_topics_remove(rs_topics_t *topics, rs_topic_t *topic);

/* As the topic's own functions, which take over the event. What is appended streamers hear of when
 * they are told, which rs_topics_tell() does for all. */
void rs_topics_append(rs_topics_t *topics, rs_topic_t *topic, rs_event_t *event);
void rs_topics_prepend(rs_topics_t *topics, rs_topic_t *topic, rs_event_t *event);
void rs_topics_tell(rs_topics_t *topics);

/* That, too, where much was appended: what is read at once may be larger than all that may be kept.
 * Between two entries, never in the middle of one that several topics get: what is given up begins
 * anew behind it. */
void rs_topics_relieve(rs_topics_t *topics);

/* The topic has lost something: its readers get it from Redis. */
void rs_topics_clear(rs_topics_t *topics, rs_topic_t *topic);
void rs_topics_break(rs_topics_t *topics, rs_topic_t *topic);

/* RaglineCache is used up. */
static inline int rs_topics_are_full(const rs_topics_t *topics)
{
    return topics->bytes >= topics->common->cache;
}

#endif
