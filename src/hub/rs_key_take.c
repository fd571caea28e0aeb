/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of keys, and from which moment on. The hub's thread.
 */
#include <string.h>

#include "../base/rs_log.h"
#include "../group/rs_group.h"
#include "../history/rs_backfill.h"
#include "../log/rs_tenants.h"
#include "../redis/rs_stream_reply.h"
#include "rs_assign.h"
#include "rs_keys.h"

static void moved(rs_key_t *key)
{
    if (!key->is_moved) {
        key->is_moved = 1;
        key->next_moved = key->source->moved;
        key->source->moved = key;
    }
}

/* What concerns a key concerns every topic that reads it. Not in the order of the hub's list: what
 * is appended to a topic moves it there. */
static void each_topic(const rs_key_t *key, void (*call)(rs_topic_t *topic, const rs_key_t *key))
{
    apr_hash_index_t *i = NULL;
    rs_tenant_t *tenant = key->tenant;
    rs_topic_t *topic;
    void *value;

    if (!tenant) {
        i = apr_hash_first(NULL, key->source->tenants); /* the hash's own iterator */
    }
    for (; tenant || i; i = i ? apr_hash_next(i) : NULL) {
        if (i) {
            apr_hash_this(i, NULL, NULL, &value);
            tenant = value;
        }
        for (topic = tenant->topics; topic; topic = topic->next) {
            if (rs_topic_reads(topic, key)) {
                call(topic, key);
            }
        }
        tenant = NULL;
    }
}

/* --- what was lost, or removed before it was read --- */

/* What its readers have is not what the key holds now: none of them goes on as if nothing had
 * happened. */
static void break_topic(rs_topic_t *topic, const rs_key_t *key)
{
    rs_group_broken(topic);
    rs_topics_break(key->source->topics, topic);
}

/* A tenant's own key seldom is the only one: one line for all. */
static void on_lost(rs_key_t *key)
{
    rs_stream_t *stream = &key->source->streams[key->stream];
    apr_time_t now = key->source->topics->now;

    if (!key->tenant || !stream->lost_told || now >= stream->lost_told + apr_time_from_sec(10)) {
        stream->lost_told = now;
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0501) "%s: %s is not what it was (data was lost, or the stream was "
                             "replaced); its readers are told so%s",
               key->source->url->label, key->name,
               key->tenant ? ", as are those of other tenants' keys of which that is true" : "");
    }
    rs_backfill_broken(key);
    /* First: readers that find their topic broken are judged by this. */
    rs_key_publish(key->source);
    each_topic(key, break_topic);
}

static void tell_gap(rs_topic_t *topic, const rs_key_t *key)
{
    rs_assign_gap(topic, key, key->now.gap);
}

static void on_gap(rs_key_t *key)
{
    rs_stream_t *stream = &key->source->streams[key->stream];
    apr_time_t now = key->source->topics->now;

    if (!stream->trimmed_told || now >= stream->trimmed_told + apr_time_from_sec(10)) {
        stream->trimmed_told = now;
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0503) "%s: entries of %s were trimmed before they were read; its readers are "
                          "told so: let writers keep more (MAXLEN)",
            key->source->url->label, key->name);
    }
    rs_backfill_gap(key);
    each_topic(key, tell_gap);
}

/* Its topics begin behind the gap, and what was before it is still in front of that: nothing can
 * be put in between. */
static void clear_topic(rs_topic_t *topic, const rs_key_t *key)
{
    rs_topics_clear(key->source->topics, topic);
}

/* It was not to be read so far, so nobody knows what it held: to those who are there already that
 * is a gap. */
static void begin_topic(rs_topic_t *topic, const rs_key_t *key)
{
    int i, there = 0;

    rs_topic_begin(topic, key);
    for (i = 0; i < RS_STREAMERS_MAX; i++) {
        there |= topic->follows[i] && topic->follows[i]->clients;
    }
    if (there && (key->now.at.ms || key->now.at.seq)) {
        rs_assign_gap(topic, key, key->now.at);
    }
}

/* 0: what is in hand does not count. */
static int look(rs_key_t *key, const rs_history_t *history, const rs_hand_t *hand, int watched)
{
    int was_sure = key->now.sure;
    rs_id_t gap = key->now.gap;
    rs_look_t what = rs_known_look(&key->now, history, hand, watched);

    moved(key);
    if (!was_sure) {
        rs_backfill_begins(key);
        each_topic(key, begin_topic);
    }
    if (what == RS_LOOK_LOST) {
        on_lost(key);
    }
    else if (what == RS_LOOK_GAP) {
        on_gap(key);
    }
    else if (rs_id_cmp(key->now.gap, gap) < 0) {
        each_topic(key, clear_topic); /* what was missing was put back */
    }
    return what != RS_LOOK_LOST;
}

/* --- entries --- */

static int weigh_hand(rs_hand_t *hand, const rs_history_t *h, const redisReply *entries)
{
    size_t i;

    memset(hand, 0, sizeof(*hand));
    for (i = 0; entries && i < entries->elements; i++) {
        if (!rs_stream_entry_id(entries->element[i], &hand->last)) {
            return 0;
        }
        if (i == 0) {
            hand->first = hand->last;
        }
        hand->n++;
        hand->gone += h->empty || rs_id_cmp(hand->last, h->first) < 0;
    }
    return 1;
}

int rs_key_take(rs_key_t *key, const rs_history_t *history, const redisReply *entries, int full,
                int watched)
{
    static const rs_hand_t nothing;
    rs_hand_t hand;
    rs_id_t id = {0, 0};
    size_t i;

    if (!weigh_hand(&hand, history, entries)) {
        return 0;
    }
    if (entries) {
        rs_known_answered(&key->now, full);
    }
    if (!look(key, history, &hand, watched)) {
        return 1;
    }
    for (i = 0; entries && i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];

        (void)rs_stream_entry_id(entry, &id);
        rs_known_entry(&key->now, id);
        rs_assign_entry(key, id, entry->element[1]);
    }
    if (hand.n && hand.gone == hand.n) {
        look(key, history, &nothing, watched);
    }
    return 1;
}

void rs_key_answered(rs_key_t *key) { rs_known_answered(&key->now, 0); }
