/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub: one thread of a child through which everything that comes from Redis goes. It owns the
 * readers, the map from tenants to topics, and the memory of all topics; it gives new clients
 * their topic and their streamer. See rs_hub.c.
 */
#ifndef RS_HUB_H
#define RS_HUB_H

#include "../base/rs_inbox.h"
#include "../log/rs_source.h"
#include "../log/rs_topic.h"

struct redisReply;
struct rs_resolver_t;

/* A tenant that has topics. */
struct rs_tenant_t {
    rs_source_t *source;
    rs_topic_t *topics; /* one for each set of streams that somebody subscribed to */
    rs_key_t *keys;     /* its own ones that these read */
    char name[RS_NAME_MAX + 1];
};

/* Makes engine->resolver, too, whose answers come to the hub. */
apr_status_t rs_hub_create(rs_hub_t **hub, apr_pool_t *pchild, rs_engine_t *engine);

/* Before rs_hub_start(). The source is complete but for what the hub owns. */
apr_status_t rs_hub_add_source(rs_hub_t *hub, rs_source_t *source);
apr_status_t rs_hub_start(rs_hub_t *hub);

/* RS_MSG_SUBMIT, _RELEASE, _FETCH, _UNFOLLOWED, _DELIVERED, _STOP. Any thread; never fails: after
 * the hub has ended, clients are destroyed on the spot. */
void rs_hub_post(rs_hub_t *hub, rs_msg_t *msg, int kind);

/* Makes the hub look whether the engine drains. Safe in a signal handler. */
void rs_hub_wake(rs_hub_t *hub);

/* After every streamer is joined. */
void rs_hub_stop(rs_hub_t *hub);

/* What the thread does, again and again: waits for something and sees to it. 0: it is over. */
int rs_hub_turn(rs_hub_t *hub);

/* And in the end: lets go of everything. */
void rs_hub_end(rs_hub_t *hub);

/* The rest is for the hub's own files. */

/* rs_assign.c: one entry of a stream goes to the topics of its tenant. */
void rs_assign_entry(rs_hub_t *hub, rs_key_t *key, rs_id_t id, const struct redisReply *fields);

/* Counts an entry that nobody gets; logs the first of its stream and reason. */
void rs_assign_skip(const rs_key_t *key, rs_id_t id, rs_skip_t reason);

/* rs_ingest.c: makes what reads the source. */
apr_status_t rs_ingest_open(rs_source_t *source, apr_pool_t *p, rs_poll_t *poll,
                            struct rs_resolver_t *resolver);

/* Does what is due and returns when to be called again. */
apr_time_t rs_ingest_turn(rs_source_t *source, apr_time_t now);

/* Up to this id entries of the key were removed before they were read: a notice for those who are
 * below that, and nobody starts below it any more. */
void rs_assign_gap(rs_topic_t *topic, const rs_key_t *key, rs_id_t gap);

/* rs_hub.c: the topic takes over the event; its streamers hear of it at the batch's end. */
void rs_hub_append(rs_hub_t *hub, rs_topic_t *topic, rs_event_t *event);
void rs_hub_batch_end(rs_hub_t *hub);

/* The tenant's topic for this set of streams, made if it is new; NULL when memory is short. */
rs_topic_t *rs_hub_topic(rs_hub_t *hub, rs_source_t *source, const char *tenant,
                         apr_uint64_t streams);

/* All topics, linked by `newer`. */
rs_topic_t *rs_hub_topics(rs_hub_t *hub);

/* When this turn of the hub began. */
apr_time_t rs_hub_now(const rs_hub_t *hub);
void rs_hub_prepend(rs_hub_t *hub, rs_topic_t *topic, rs_event_t *event);

/* RaglineCache is used up. */
int rs_hub_is_full(const rs_hub_t *hub);

/* Gives a client that has its number, or a reason to be refused, to a streamer. */
void rs_hub_attach(rs_hub_t *hub, rs_client_t *client);

/* Sends away, for a while, a client that has a topic: Redis does not answer. */
void rs_hub_refuse(rs_hub_t *hub, rs_client_t *client);
void rs_hub_fetched(rs_hub_t *hub, rs_fetch_t *fetch);

/* To one of the streamers; with the next turn to another one. 0: that has ended. */
int rs_hub_attach_to(rs_hub_t *hub, rs_client_t *client, int turn);

/* A client that no streamer has, or has any more. */
void rs_hub_destroy(rs_hub_t *hub, rs_client_t *client);

/* The topic has lost something: its readers get it from Redis. */
void rs_hub_break_topic(rs_hub_t *hub, rs_topic_t *topic);

rs_engine_t *rs_hub_engine(rs_hub_t *hub);

/* rs_admit.c: takes a client that a worker has submitted. */
void rs_admit(rs_hub_t *hub, rs_client_t *client);

/* The end of a client. */
void rs_hub_release(rs_hub_t *hub, rs_client_t *client);

/* Gives a client whose topic and group are known its number, and to a streamer. */
void rs_hub_place(rs_hub_t *hub, rs_client_t *client);

/* One that was counted in topic->clients has gone. */
void rs_hub_leave_topic(rs_topic_t *topic);

/* It is known where a tenant's key stands: clients that waited for that go on. */
void rs_hub_key_known(rs_key_t *key);

/* The source cannot be read now: clients that wait to know where their keys stand are refused. */
void rs_hub_refuse_waiting(rs_hub_t *hub, rs_source_t *source);

rs_buf_t *rs_hub_scratch(rs_hub_t *hub);
size_t rs_hub_max_message(const rs_hub_t *hub);

/* rs_tenants.c: tenants, topics and who follows them. */
rs_topic_t *rs_tenants_topic(rs_source_t *source, const char *tenant, apr_uint64_t streams);
rs_tenant_t *rs_tenants_find(rs_source_t *source, const char *name, size_t len);
rs_follow_t *rs_tenants_follow(rs_topic_t *topic, rs_streamer_t *streamer, int index);
void rs_tenants_remove(rs_topic_t *topic);

#endif
