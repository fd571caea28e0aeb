/* SPDX-License-Identifier: Apache-2.0
 *
 * Two connections: over `data` go all commands, and what is read there Redis remembers as ours; on
 * `ear` it tells which of that was changed (RESP2 has no other way). A closed ear is not reported
 * to `data`, so the two live and die together. The hub's thread.
 *
 *   DOWN     one of them is not logged in
 *   PAIRING  CLIENT TRACKING ON REDIRECT is on its way
 *   UP       rounds: those in the queue ask, all replies come, the next round
 *
 * A change that is told while a round is under way counts for the next one, whatever the replies
 * hold: they may have been written before it.
 */
#include <apr_hash.h>
#include <apr_strings.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_watcher.h"

#define LIMIT apr_time_from_sec(5)
#define POLL_INTERVAL apr_time_from_sec(1)
/* Turns of one round: enough to make the way to Redis count little. */
#define ROUND 128
#define STRAYS 5
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

#define INVALIDATE "__redis__:invalidate"

enum { DOWN, PAIRING, UP };

struct rs_watcher_t {
    rs_link_t *data, *ear;
    const rs_redis_url_t *url;
    rs_watcher_calls_t calls;
    int state;
    int failing;   /* one connection is taking the other with it */
    int told_down; /* logged, until it is up again */
    int told_poll; /* logged that there is no tracking */
    int strays;    /* attempts at which Redis did not know the ear */
    int polling;   /* Redis does not track: everybody has a turn now and then */
    char ear_id[24];
    int listening;
    apr_time_t alive_until; /* when the ear is sent a PING, or the keys are looked at */

    apr_hash_t *keys; /* key → the first rs_watch_t; the hash recycles its entries */
    rs_watch_t *first, **last;
    struct {
        rs_watch_t *watch; /* NULL: removed meanwhile */
        int asked, got;
    } round[ROUND];
    int n, at; /* of the round; n 0: none is under way */
};

/* --- the queue --- */

static void enqueue(rs_watcher_t *w, rs_watch_t *watch)
{
    if (watch->place) {
        watch->again = 1;
        return;
    }
    if (!watch->queued) {
        watch->queued = 1;
        watch->next = NULL;
        *w->last = watch;
        w->last = &watch->next;
    }
}

static void unqueue(rs_watcher_t *w, rs_watch_t *watch)
{
    rs_watch_t **link;

    for (link = &w->first; *link && *link != watch; link = &(*link)->next) {
    }
    if (*link) {
        *link = watch->next;
        if (!*link) {
            w->last = link;
        }
    }
    watch->queued = 0;
}

static rs_watch_t *dequeue(rs_watcher_t *w)
{
    rs_watch_t *watch = w->first;

    if (watch) {
        unqueue(w, watch);
    }
    return watch;
}

static void enqueue_all(rs_watcher_t *w)
{
    apr_hash_index_t *i;
    rs_watch_t *watch;
    void *first;

    /* NULL: the hash's own iterator; nothing is allocated. */
    for (i = apr_hash_first(NULL, w->keys); i; i = apr_hash_next(i)) {
        apr_hash_this(i, NULL, NULL, &first);
        for (watch = first; watch; watch = watch->same) {
            enqueue(w, watch);
        }
    }
}

/* Once it was answered: a Redis that loads, or has lost its master, takes connections. */
static void tell_up(rs_watcher_t *w)
{
    if (w->told_down) {
        w->told_down = 0;
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0221) "%s: keys are being watched again", w->url->label);
    }
}

/* --- rounds --- */

void rs_watcher_ask(rs_watcher_t *w, int argc, const char **argv)
{
    if (w->state == UP && rs_link_append(w->data, argc, argv)) {
        w->round[w->n].asked++;
    }
}

static void start_round(rs_watcher_t *w)
{
    rs_watch_t *watch;
    int left = ROUND;

    while (w->state == UP && w->n == 0 && w->first) {
        w->at = 0;
        for (left = ROUND; left && w->state == UP && (watch = dequeue(w)); left--) {
            w->round[w->n].watch = watch;
            w->round[w->n].asked = w->round[w->n].got = 0;
            watch->again = 0;
            watch->ask(watch);
            if (w->state == UP && w->round[w->n].asked) {
                watch->place = ++w->n;
            }
        }
    }
    if (w->state == UP && w->n) {
        rs_link_send(w->data, LIMIT);
    }
}

static void on_turn_reply(rs_watcher_t *w, redisReply **reply)
{
    int at = w->at, n = w->round[at].got++, last = w->round[at].got == w->round[at].asked;
    rs_watch_t *watch = w->round[at].watch;
    int more;

    rs_link_limit(w->data, LIMIT);
    w->at += last;
    more = watch ? watch->reply(watch, n, reply, last) : 0;
    watch = w->round[at].watch; /* it may have been removed */
    if (watch && last) {
        watch->place = 0;
        w->round[at].watch = NULL; /* from here on it may be removed without our hearing of it */
        if (more || watch->again) {
            enqueue(w, watch);
        }
    }
    if (w->state == UP && w->at == w->n) {
        w->n = 0;
        rs_link_limit(w->data, 0);
        rs_link_works(w->data);
        rs_link_works(w->ear);
        tell_up(w);
        start_round(w);
    }
}

/* --- the two connections --- */

static apr_interval_time_t alive_interval(const rs_watcher_t *w)
{
    return w->polling || w->url->master ? POLL_INTERVAL : LIMIT;
}

static void go_up(rs_watcher_t *w)
{
    w->state = UP;
    w->n = 0;
    w->alive_until = rs_clock_now() + alive_interval(w);
    rs_link_limit(w->data, 0);
    enqueue_all(w);
    w->calls.up(w->calls.baton, 1);
    start_round(w);
    if (w->state == UP && w->n == 0) {
        tell_up(w);
    }
}

static void poll_instead(rs_watcher_t *w, const char *why)
{
    if (!w->told_poll) {
        w->told_poll = 1;
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0222) "%s: keys of tenants are looked at once a second, since Redis does not "
                          "tell of changes: %s; it takes Redis 6 or later and, with ACLs, "
                          "+client|id +client|tracking +subscribe and the channel " INVALIDATE,
            w->url->label, why);
    }
    w->polling = 1;
    go_up(w);
}

static void pair(rs_watcher_t *w)
{
    const char *argv[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", w->ear_id, "NOLOOP"};

    if (w->state != DOWN || !w->listening || !rs_link_is_ready(w->data)) {
        return;
    }
    if (w->url->master && strcmp(rs_link_master(w->data), rs_link_master(w->ear)) != 0) {
        rs_link_fail(w->data, "the sentinels have named two servers");
        return;
    }
    w->state = PAIRING;
    if (rs_link_append(w->data, RS_ARRAY_LEN(argv), argv)) {
        rs_link_send(w->data, LIMIT);
    }
}

static void on_data_ready(void *data)
{
    rs_watcher_t *w = data;

    if (w->polling) {
        go_up(w);
        return;
    }
    pair(w);
}

static void on_data_reply(void *data, redisReply **reply)
{
    rs_watcher_t *w = data;

    if (w->state == UP && w->n) {
        on_turn_reply(w, reply);
    }
    else if (w->state == PAIRING && (*reply)->type == REDIS_REPLY_ERROR) {
        /* The ear may just have been cut, which is not heard of yet. Again and again: the two have
         * not reached the same Redis. */
        if (strstr((*reply)->str, "does not exist") && ++w->strays < STRAYS) {
            rs_link_fail(w->data, (*reply)->str);
            return;
        }
        poll_instead(w, (*reply)->str);
    }
    else if (w->state == PAIRING) {
        w->strays = 0;
        go_up(w);
    }
    else {
        rs_link_fail(w->data, "an answer that nobody asked for");
    }
}

static void on_ear_ready(void *data)
{
    rs_watcher_t *w = data;
    const char *id[] = {"CLIENT", "ID"}, *subscribe[] = {"SUBSCRIBE", INVALIDATE};

    w->ear_id[0] = '\0';
    if (rs_link_append(w->ear, 2, id) && rs_link_append(w->ear, 2, subscribe)) {
        rs_link_send(w->ear, LIMIT);
    }
}

static void on_change(rs_watcher_t *w, const redisReply *key)
{
    rs_watch_t *watch = NULL;

    if (key->type == REDIS_REPLY_STRING) {
        watch = apr_hash_get(w->keys, key->str, (apr_ssize_t)key->len);
    }
    for (; watch; watch = watch->same) {
        enqueue(w, watch);
    }
}

/* ["message", INVALIDATE, [key…]], or nil instead of the keys: all of them (FLUSHALL). */
static void on_changes(rs_watcher_t *w, const redisReply *reply)
{
    const redisReply *keys;
    size_t i;

    if (reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_STRING
        || strcmp(reply->element[0]->str, "message") != 0) {
        return; /* the answer to a PING */
    }
    keys = reply->element[2];
    if (keys->type != REDIS_REPLY_ARRAY) {
        enqueue_all(w);
    }
    for (i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements; i++) {
        on_change(w, keys->element[i]);
    }
    if (w->n == 0) {
        start_round(w);
    }
}

static void on_ear_reply(void *data, redisReply **reply)
{
    rs_watcher_t *w = data;

    rs_link_limit(w->ear, 0);
    if ((*reply)->type == REDIS_REPLY_ERROR) {
        w->polling = 1;
        if (w->state == DOWN && rs_link_is_ready(w->data)) {
            poll_instead(w, (*reply)->str);
        }
    }
    else if ((*reply)->type == REDIS_REPLY_INTEGER) {
        apr_snprintf(w->ear_id, sizeof(w->ear_id), "%" APR_INT64_T_FMT,
                     (apr_int64_t)(*reply)->integer);
        rs_link_limit(w->ear, LIMIT);
    }
    else if ((*reply)->type == REDIS_REPLY_ARRAY && !w->listening) {
        w->listening = 1;
        pair(w);
    }
    else if ((*reply)->type == REDIS_REPLY_ARRAY) {
        on_changes(w, *reply);
    }
}

/* What was asked is asked again when it is up. */
static void go_down(rs_watcher_t *w, const char *why)
{
    int i;

    w->state = DOWN;
    for (i = 0; i < w->n; i++) {
        if (w->round[i].watch) {
            w->round[i].watch->place = 0;
            w->round[i].watch = NULL;
        }
    }
    w->n = 0;
    if (!w->told_down) {
        w->told_down = 1;
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0223) "%s: keys are not being watched: %s; trying again until it answers",
               w->url->label, why);
    }
    w->calls.up(w->calls.baton, 0);
}

static void on_data_down(void *data, const char *why)
{
    rs_watcher_t *w = data;

    if (!w->failing) {
        w->failing = 1;
        go_down(w, why);
        w->listening = 0;
        w->polling = 0; /* Redis may have been upgraded */
        rs_link_fail(w->ear, why);
        w->failing = 0;
    }
}

static void on_ear_down(void *data, const char *why)
{
    rs_watcher_t *w = data;

    w->listening = 0;
    if (!w->failing && !w->polling) {
        w->failing = 1;
        go_down(w, why);
        rs_link_fail(w->data, why);
        w->failing = 0;
    }
}

/* --- what others call --- */

void rs_watcher_add(rs_watcher_t *w, rs_watch_t *watch)
{
    watch->same = apr_hash_get(w->keys, watch->key, APR_HASH_KEY_STRING);
    if (watch->same) {
        /* The hash keeps the key's text of its first entry: put in anew, it is this one's. */
        apr_hash_set(w->keys, watch->key, APR_HASH_KEY_STRING, NULL);
    }
    apr_hash_set(w->keys, watch->key, APR_HASH_KEY_STRING, watch);
    enqueue(w, watch);
}

void rs_watcher_remove(rs_watcher_t *w, rs_watch_t *watch)
{
    rs_watch_t *first = apr_hash_get(w->keys, watch->key, APR_HASH_KEY_STRING), **link;

    for (link = &first; *link && *link != watch; link = &(*link)->same) {
    }
    if (*link) {
        *link = watch->same;
    }
    apr_hash_set(w->keys, watch->key, APR_HASH_KEY_STRING, NULL);
    if (first) {
        apr_hash_set(w->keys, first->key, APR_HASH_KEY_STRING, first);
    }
    if (watch->queued) {
        unqueue(w, watch);
    }
    if (watch->place) {
        w->round[watch->place - 1].watch = NULL;
        watch->place = 0;
    }
}

void rs_watcher_touch(rs_watcher_t *w, rs_watch_t *watch) { enqueue(w, watch); }

const char *rs_watcher_master(const rs_watcher_t *w) { return rs_link_master(w->data); }

int rs_watcher_is_up(const rs_watcher_t *w) { return w->state == UP; }

int rs_watcher_is_polling(const rs_watcher_t *w) { return w->polling; }

void rs_watcher_fail(rs_watcher_t *w, const char *why) { rs_link_fail(w->data, why); }

static void stay_alive(rs_watcher_t *w, apr_time_t now)
{
    const char *ping[] = {"PING"};

    if (w->state != UP || now < w->alive_until) {
        return;
    }
    if (w->polling) {
        enqueue_all(w);
    }
    else if (rs_link_append(w->ear, 1, ping)) {
        rs_link_send(w->ear, LIMIT);
    }
    /* The commands of a round ask this, too, but where nothing changes there is none. */
    if (w->state == UP && w->n == 0) {
        rs_link_check(w->data);
    }
    w->alive_until = now + alive_interval(w);
}

apr_time_t rs_watcher_turn(rs_watcher_t *w, apr_time_t now)
{
    apr_time_t next, ear = NEVER;

    stay_alive(w, now);
    if (w->n == 0) {
        start_round(w);
    }
    next = rs_link_turn(w->data, now);
    if (!w->polling) {
        ear = rs_link_turn(w->ear, now);
    }
    next = ear < next ? ear : next;
    return w->state == UP && w->alive_until < next ? w->alive_until : next;
}

apr_status_t rs_watcher_create(rs_watcher_t **out, apr_pool_t *p, rs_poll_t *poll,
                               rs_resolver_t *resolver, const rs_redis_url_t *url,
                               const rs_watcher_calls_t *calls)
{
    rs_link_calls_t data = {on_data_ready, on_data_reply, on_data_down, NULL};
    rs_link_calls_t ear = {on_ear_ready, on_ear_reply, on_ear_down, NULL};
    rs_watcher_t *w = apr_pcalloc(p, sizeof(*w));
    apr_status_t rv;

    w->url = url;
    w->calls = *calls;
    w->last = &w->first;
    w->keys = apr_hash_make(p);
    data.baton = ear.baton = w;
    *out = w;
    rv = rs_link_create(&w->data, p, poll, resolver, url, "ragline-watcher", &data);
    if (rv == APR_SUCCESS) {
        rv = rs_link_create(&w->ear, p, poll, resolver, url, "ragline-changes", &ear);
    }
    if (rv == APR_SUCCESS) {
        rs_link_take_any_role(w->ear);
    }
    return rv;
}
