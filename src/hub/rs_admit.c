/* SPDX-License-Identifier: Apache-2.0
 *
 * A new client on its way to its streamer: it gets its topic, waits until it is known where the
 * topic's keys and its group stand, gets the number it starts from (rs_backfill), and goes to the
 * streamer that has others of its tenant. The hub's thread.
 */
#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../group/rs_group.h"
#include "../group/rs_share.h"
#include "../history/rs_backfill.h"
#include "../log/rs_profile.h"
#include "../log/rs_verdict.h"
#include "rs_admit.h"

/* A tenant's clients share a streamer until there are so many of them; then the next one has its
 * turn. Small tenants wake one thread per event, large ones use all. */
#define CLIENTS_PER_STREAMER 64

static rs_topics_t *topics_of(const rs_client_t *client) { return client->profile->source->topics; }

/* Who is refused is to be told only that: nothing is appended for it, or kept. */
static int follows(const rs_client_t *client) { return client->follow && !client->refused; }

void rs_admit_release(rs_client_t *client)
{
    rs_common_t *common = topics_of(client)->common;

    if (follows(client)) {
        client->follow->clients--;
    }
    rs_group_leave(client);
    if (client->topic && --client->topic->clients == 0) {
        client->topic->idle_since = rs_clock_now();
    }
    if (!client->member || rs_share_leave(client)) {
        rs_common_destroy(common, client);
    }
}

static int pick_streamer(const rs_client_t *client, int turn)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;
    unsigned first = apr_hashfunc_default(client->tenant, &len);

    return (int)((first + (unsigned)turn) % (unsigned)topics_of(client)->common->nstreamers);
}

int rs_admit_attach_to(rs_client_t *client, int turn)
{
    client->streamer = topics_of(client)->common->streamer[pick_streamer(client, turn)];
    return rs_inbox_post(client->streamer, &client->msg, RS_MSG_ATTACH);
}

void rs_admit_attach(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    int turn = topic->clients / CLIENTS_PER_STREAMER, index = pick_streamer(client, turn);
    rs_follow_t *follow = rs_topic_follow(topic, topics_of(client)->common->streamer[index], index);

    client->follow = follow;
    rs_group_set_from(client);
    client->resume->losses = rs_verdict_losses(topic);
    if (follows(client)) {
        follow->clients++;
    }
    if (!follow || !rs_admit_attach_to(client, turn)) {
        rs_admit_release(client);
    }
}

void rs_admit_refuse(rs_client_t *client)
{
    RS_STAT_ADD(topics_of(client)->common->stats->refused[RS_REFUSED_REDIS], 1);
    client->refused = "redis_unavailable";
    rs_admit_attach(client);
}

void rs_admit_place(rs_client_t *client)
{
    if (rs_backfill_place(client)) {
        rs_admit_attach(client);
    }
}

/* Where its keys stand is known. An id that is none of this endpoint's is as good as none where
 * there is a place to start from without one; what the group waits with is not passed over. */
static void start(rs_client_t *client)
{
    if (client->accepted && *client->cursor && !rs_backfill_reads(client)) {
        client->cursor = "";
        client->reason = "unknown";
    }
    if (!rs_group_start(client)) {
        rs_admit_place(client);
    }
}

void rs_admit(rs_client_t *client)
{
    const rs_profile_t *profile = client->profile;

    if (profile->shared) {
        rs_share_join(client);
        return;
    }
    if (client->gate) {
        if (!rs_admit_attach_to(client, (int)client->gate->turn)) {
            rs_admit_release(client);
        }
        return;
    }
    client->topic =
        rs_topics_get(topics_of(client), profile->source, client->tenant, profile->streams);
    if (!client->topic) {
        rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(0502) "a stream is closed");
        rs_admit_release(client);
        return;
    }
    client->topic->clients++;
    client->topic->visited = 1;
    if (!rs_group_join(client)) {
        client->refused = "internal";
        rs_admit_attach(client);
        return;
    }
    if (!rs_topic_known(client->topic)) {
        client->msg.next = (rs_msg_t *)client->topic->waiting;
        client->topic->waiting = client;
    }
    else {
        start(client);
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

void rs_admit_key_known(rs_key_t *key)
{
    rs_topic_t *topic;
    rs_client_t *client;

    for (topic = key->tenant->topics; topic; topic = topic->next) {
        if (!rs_topic_reads(topic, key)) {
            continue;
        }
        while (rs_topic_known(topic) && (client = take_waiting(topic))) {
            start(client);
        }
    }
}

void rs_admit_refuse_waiting(rs_source_t *source)
{
    rs_topic_t *topic;
    rs_client_t *client;

    for (topic = source->topics->oldest; topic; topic = topic->newer) {
        while (topic->source == source && (client = take_waiting(topic))) {
            rs_admit_refuse(client);
        }
    }
}
