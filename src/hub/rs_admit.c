/* SPDX-License-Identifier: Apache-2.0
 *
 * A new client on its way to its streamer: it gets its topic, waits until it is known where the
 * topic's keys and its group stand, gets the number it starts from (rs_backfill), and goes to the
 * streamer that has others of its tenant. The hub's thread.
 */
#include "../base/rs_log.h"
#include "../history/rs_backfill.h"
#include "../engine/rs_engine.h"
#include "../group/rs_group.h"
#include "../group/rs_share.h"
#include "../log/rs_verdict.h"

/* A tenant's clients share a streamer until there are so many of them; then the next one has its
 * turn. Small tenants wake one thread per event, large ones use all. */
#define CLIENTS_PER_STREAMER 64

static int pick_streamer(rs_hub_t *hub, const rs_client_t *client, int turn)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;
    unsigned first = apr_hashfunc_default(client->tenant, &len);

    return (int)((first + (unsigned)turn) % (unsigned)rs_hub_engine(hub)->conf.streamers);
}

int rs_hub_attach_to(rs_hub_t *hub, rs_client_t *client, int turn)
{
    client->streamer = rs_hub_engine(hub)->streamers[pick_streamer(hub, client, turn)];
    return rs_streamer_post(client->streamer, &client->msg, RS_MSG_ATTACH);
}

void rs_hub_attach(rs_hub_t *hub, rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    int turn = topic->clients / CLIENTS_PER_STREAMER, index = pick_streamer(hub, client, turn);
    rs_follow_t *follow = rs_tenants_follow(topic, rs_hub_engine(hub)->streamers[index], index);

    client->follow = follow;
    rs_group_set_from(client);
    client->resume->losses = rs_verdict_losses(topic);
    if (follow) {
        follow->clients++;
    }
    if (!follow || !rs_hub_attach_to(hub, client, turn)) {
        rs_hub_release(hub, client);
    }
}

void rs_hub_refuse(rs_hub_t *hub, rs_client_t *client)
{
    RS_STAT_ADD(rs_hub_engine(hub)->stats->refused[RS_REFUSED_REDIS], 1);
    client->refused = "redis_unavailable";
    rs_hub_attach(hub, client);
}

void rs_hub_place(rs_hub_t *hub, rs_client_t *client)
{
    if (rs_backfill_place(hub, client)) {
        rs_hub_attach(hub, client);
    }
}

/* Where its keys stand is known. An id that is none of this endpoint's is as good as none where
 * there is a place to start from without one; what the group waits with is not passed over. */
static void start(rs_hub_t *hub, rs_client_t *client)
{
    if (client->group && *client->cursor && !rs_backfill_reads(client)) {
        client->cursor = "";
        client->reason = "unknown";
    }
    if (!rs_group_start(client)) {
        rs_hub_place(hub, client);
    }
}

void rs_admit(rs_hub_t *hub, rs_client_t *client)
{
    if (client->profile->shared) {
        rs_share_join(hub, client);
        return;
    }
    client->topic =
        rs_hub_topic(hub, client->profile->source, client->tenant, client->profile->streams);
    if (!client->topic) {
        rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(0502) "a stream is closed");
        rs_hub_release(hub, client);
        return;
    }
    client->topic->clients++;
    client->topic->visited = 1;
    if (!rs_group_join(client)) {
        client->refused = "internal";
        rs_hub_attach(hub, client);
        return;
    }
    if (!rs_topic_known(client->topic)) {
        client->msg.next = (rs_msg_t *)client->topic->waiting;
        client->topic->waiting = client;
    }
    else {
        start(hub, client);
    }
}

static rs_client_t *take_waiting(rs_topic_t *topic)
{
    rs_client_t *client = topic->waiting;

    if (client) {
        topic->waiting = (rs_client_t *)client->msg.next;
    }
    return client;
}

void rs_hub_key_known(rs_key_t *key)
{
    rs_hub_t *hub = key->source->hub;
    rs_topic_t *topic;
    rs_client_t *client;

    for (topic = key->tenant->topics; topic; topic = topic->next) {
        if (!rs_topic_reads(topic, key)) {
            continue;
        }
        while (rs_topic_known(topic) && (client = take_waiting(topic))) {
            start(hub, client);
        }
    }
}

void rs_hub_refuse_waiting(rs_hub_t *hub, rs_source_t *source)
{
    rs_topic_t *topic;
    rs_client_t *client;

    for (topic = rs_hub_topics(hub); topic; topic = topic->newer) {
        while (topic->source == source && (client = take_waiting(topic))) {
            rs_hub_refuse(hub, client);
        }
    }
}
