/* SPDX-License-Identifier: Apache-2.0
 *
 * The statistics page. Every child reads every stream, so `read` and what is skipped are those of
 * the child that has read most; what is delivered is the sum. The worker.
 */
#include <string.h>

#include <apr_strings.h>

#include "../proto/rs_id.h"
#include "../redis/rs_redis_hints.h"
#include "rs_board.h"
#include "rs_stats_page.h"

#define NUMBER(n) json_integer((json_int_t)(n))

/* obj[name] = max(obj[name], n) or += n. */
static void raise_to(json_t *obj, const char *name, apr_uint64_t n)
{
    if (n >= (apr_uint64_t)json_integer_value(json_object_get(obj, name))) {
        json_object_set_new(obj, name, NUMBER(n));
    }
}

static void add(json_t *obj, const char *name, apr_uint64_t n)
{
    json_object_set_new(obj, name,
                        NUMBER((apr_uint64_t)json_integer_value(json_object_get(obj, name)) + n));
}

static void last_id(json_t *obj, const rs_stream_stats_t *s)
{
    rs_id_t id = {RS_STAT_GET(s->last_ms), RS_STAT_GET(s->last_seq)}, known = {0, 0};
    const char *text = json_string_value(json_object_get(obj, "last_id"));
    char buf[RS_ID_LEN];

    if (text && rs_id_parse(&known, text, strlen(text)) && rs_id_cmp(known, id) >= 0) {
        return;
    }
    rs_id_format(buf, id);
    json_object_set_new(obj, "last_id", json_string(buf));
}

static json_t *find(json_t *list, const char *name, const char *value, const char *name2,
                    const char *value2)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (!strcmp(json_string_value(json_object_get(item, name)), value)
            && (!name2 || !strcmp(json_string_value(json_object_get(item, name2)), value2))) {
            return item;
        }
    }
    item = json_pack("{s:s}", name, value);
    if (name2) {
        json_object_set_new(item, name2, json_string(value2));
    }
    json_array_append_new(list, item);
    return item;
}

static void add_stream(json_t *streams, const rs_stats_t *stats, const rs_stream_stats_t *s)
{
    json_t *item, *skipped;
    int i;

    if (s->source >= RS_STATS_SOURCES) {
        return;
    }
    item = find(streams, "key", s->key, "redis", stats->sources[s->source].label);
    if (!json_object_get(item, "name")) {
        json_object_set_new(item, "name", json_string(s->name));
    }
    raise_to(item, "read", RS_STAT_GET(s->read));
    add(item, "delivered", RS_STAT_GET(s->delivered));
    add(item, "filtered", RS_STAT_GET(s->filtered));
    add(item, "redelivered", RS_STAT_GET(s->redelivered));
    add(item, "dead_lettered", RS_STAT_GET(s->dead_lettered));
    last_id(item, s);
    skipped = json_object_get(item, "skipped");
    if (!skipped) {
        skipped = json_object();
        json_object_set_new(item, "skipped", skipped);
    }
    for (i = 0; i < RS_SKIP_MAX; i++) {
        raise_to(skipped, rs_skip_names[i], RS_STAT_GET(s->skipped[i]));
    }
}

/* More than one only while children are on their way from one to the other. */
static void add_master(json_t *item, const rs_source_stats_t *s)
{
    apr_uint32_t which = __atomic_load_n(&s->master, __ATOMIC_ACQUIRE);
    json_t *masters = json_object_get(item, "masters"), *known;
    char name[RS_STATS_MASTER];
    size_t i;

    if (which != 1 && which != 2) {
        return;
    }
    apr_cpystrn(name, s->masters[which - 1], sizeof(name));
    if (!masters) {
        masters = json_array();
        json_object_set_new(item, "masters", masters);
    }
    json_array_foreach(masters, i, known)
    {
        if (!strcmp(json_string_value(known), name)) {
            return;
        }
    }
    json_array_append_new(masters, json_string(name));
}

static void add_source(json_t *sources, const rs_source_stats_t *s, int draining)
{
    json_t *item = find(sources, "url", s->label, NULL, NULL);

    if (draining) {
        return;
    }
    add(item, "children", 1);
    add(item, "children_reading", RS_STAT_GET(s->up));
    add(item, "children_caught_up", RS_STAT_GET(s->caught_up));
    raise_to(item, "connects", RS_STAT_GET(s->connects));
    add_master(item, s);
}

static void add_states(json_t *sources)
{
    json_t *item;
    size_t i;

    json_array_foreach(sources, i, item)
    {
        json_int_t all = json_integer_value(json_object_get(item, "children"));
        json_int_t up = json_integer_value(json_object_get(item, "children_reading"));

        json_object_set_new(item, "state",
                            json_string(up == 0    ? "down"
                                        : up < all ? "partly"
                                                   : "up"));
    }
}

/* Streams that keep a worker. */
static void add_pumps(json_t *pumps, const rs_stats_t *stats)
{
    json_t *by = json_object_get(pumps, "by_cause");
    apr_uint32_t i, n = __atomic_load_n(&stats->npumped, __ATOMIC_ACQUIRE);

    add(pumps, "open", RS_STAT_GET(stats->pumps));
    for (i = 0; i < n && i < RS_STATS_CAUSES; i++) {
        const char *cause = stats->pumped[i].cause;
        json_t *item = json_object_get(by, cause);

        if (!item) {
            item = json_object();
            json_object_set_new(by, cause, item);
        }
        add(item, "open", RS_STAT_GET(stats->pumped[i].open));
        add(item, "opened", RS_STAT_GET(stats->pumped[i].total));
    }
}

static void add_refusals(json_t *refused, const rs_stats_t *stats)
{
    int i;

    for (i = 0; i < RS_REFUSED_MAX; i++) {
        add(refused, rs_refusal_names[i], RS_STAT_GET(stats->refused[i]));
    }
}

static void add_gateway(json_t *gateway, const rs_gateway_stats_t *stats)
{
    json_t *callbacks = json_object_get(gateway, "callbacks");
    json_t *seconds = json_object_get(gateway, "send_seconds");
    int i;

    add(gateway, "opened", RS_STAT_GET(stats->opened));
    add(gateway, "events_sent", RS_STAT_GET(stats->events));
    add(gateway, "sends", RS_STAT_GET(stats->sends));
    json_real_set(seconds, json_real_value(seconds) + (double)RS_STAT_GET(stats->send_time) / 1e6);
    for (i = 0; i < RS_CALLED_MAX; i++) {
        add(callbacks, rs_called_names[i], RS_STAT_GET(stats->callbacks[i]));
    }
}

json_t *rs_stats_page(int max_pumps)
{
    json_t *page = json_pack("{s:i,s:i,s:i,s:{},s:{s:i,s:i,s:{}},s:{s:f,s:{}},s:[],s:[],s:[]}",
                             "connections", 0, "accepted", 0, "fetches", 0, "refused", "pumps",
                             "open", 0, "limit", max_pumps, "by_cause", "gateway", "send_seconds",
                             0.0, "callbacks", "children", "redis", "streams");
    const rs_stats_t *stats;
    apr_uint32_t i, n;
    int place = 0;
    pid_t pid;

    while ((stats = rs_board_next(&place, &pid))) {
        int draining = (int)RS_STAT_GET(stats->draining);

        add(page, "connections", RS_STAT_GET(stats->connections));
        add(page, "accepted", RS_STAT_GET(stats->accepted));
        add(page, "fetches", RS_STAT_GET(stats->fetches));
        add_refusals(json_object_get(page, "refused"), stats);
        add_pumps(json_object_get(page, "pumps"), stats);
        add_gateway(json_object_get(page, "gateway"), &stats->gateway);
        json_array_append_new(json_object_get(page, "children"),
                              json_pack("{s:I,s:I,s:b}", "pid", (json_int_t)pid, "connections",
                                        (json_int_t)RS_STAT_GET(stats->connections), "draining",
                                        draining));
        n = RS_STAT_GET(stats->nsources);
        for (i = 0; i < n && i < RS_STATS_SOURCES; i++) {
            add_source(json_object_get(page, "redis"), &stats->sources[i], draining);
        }
        n = RS_STAT_GET(stats->nstreams);
        for (i = 0; i < n && i < RS_STATS_STREAMS; i++) {
            add_stream(json_object_get(page, "streams"), stats, &stats->streams[i]);
        }
    }
    add_states(json_object_get(page, "redis"));
    return page;
}

void rs_stats_page_risks(json_t *page, const char *redis, unsigned hints)
{
    json_t *item, *risks;
    size_t at;
    int i;

    json_array_foreach(json_object_get(page, "redis"), at, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "url")), redis)
            || json_object_get(item, "risks")) {
            continue;
        }
        risks = json_array();
        for (i = 0; i < RS_HINTS; i++) {
            if (hints >> i & 1) {
                json_array_append_new(risks, json_string(rs_redis_hint_setting(i)));
            }
        }
        json_object_set_new(item, "risks", risks);
    }
}
