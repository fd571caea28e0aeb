/* SPDX-License-Identifier: Apache-2.0
 *
 * What one client does by itself: frames of its own, catching up, partial writes. The streamer's
 * thread once it is attached.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_client.h"
#include "rs_profile.h"
#include "rs_source.h"

#define CATCH_UP_BATCH 32
#define CATCH_UP_ROUNDS 8 /* then the others get their turn */

static const char *put(char **to, const char *text)
{
    char *start = *to;
    size_t n = strlen(text) + 1;

    memcpy(start, text, n);
    *to += n;
    return start;
}

rs_client_t *rs_client_create(const rs_client_params_t *params)
{
    rs_client_t *client;
    char *text;

    client = malloc(sizeof(*client) + strlen(params->tenant) + strlen(params->user)
                    + strlen(params->cursor) + strlen(params->tenant_json)
                    + strlen(params->user_json) + 5);
    if (!client) {
        return NULL;
    }
    memset(client, 0, sizeof(*client));
    client->resume = calloc(1, sizeof(*client->resume));
    if (!client->resume) {
        free(client);
        return NULL;
    }
    client->fd = params->fd;
    client->transport = params->transport;
    client->session = params->session;
    client->profile = params->profile;
    if (params->expires) {
        client->expires = rs_clock_now() + (params->expires - apr_time_now());
        if (client->expires <= 0) {
            client->expires = 1;
        }
    }
    text = client->text;
    client->cursor = put(&text, params->cursor);
    client->tenant = put(&text, params->tenant);
    client->user = put(&text, params->user);
    client->tenant_json = put(&text, params->tenant_json);
    client->user_json = put(&text, params->user_json);
    return client;
}

void rs_client_destroy(rs_client_t *client)
{
    rs_event_drop(client->pinned);
    free(client->resume);
    if (client->fd >= 0) {
        client->transport->close(client);
    }
    free(client);
}

int rs_client_wants(const rs_client_t *client, const rs_event_t *event)
{
    if (!rs_profile_wants(client->profile, RS_EVENT_TYPE(event), event->type_len)) {
        return 0;
    }
    return !client->profile->user_only || event->user_len == 0
           || (strlen(client->user) == event->user_len
               && memcmp(client->user, RS_EVENT_USER(event), event->user_len) == 0);
}

int rs_client_flush(rs_client_t *client)
{
    while (client->pinned) {
        rs_event_t *e = client->pinned;
        struct iovec iov = {e->frame + client->pinned_off, e->len - client->pinned_off};
        ssize_t n = client->transport->writev(client, &iov, 1);

        if (n <= 0) {
            return (int)n;
        }
        client->last_out = rs_clock_now();
        client->pinned_off += (size_t)n;
        if (client->pinned_off == e->len) {
            client->pinned = NULL;
            rs_event_drop(e);
        }
    }
    return 1;
}

int rs_client_own(rs_client_t *client, const char *data, size_t len)
{
    static const rs_id_t none = {0, 0};
    struct iovec iov = {(char *)data, len};
    ssize_t n = client->transport->writev(client, &iov, 1);

    if (n < 0) {
        return 0;
    }
    client->last_out = rs_clock_now();
    if ((size_t)n < len) {
        client->pinned = rs_event_create(0, none, data, len, "", 0);
        client->pinned_off = (size_t)n;
        return client->pinned != NULL;
    }
    return 1;
}

void rs_client_pin(rs_client_t *client, rs_event_t *const *events, int n, size_t written,
                   int *complete)
{
    int i;

    for (i = 0; i < n && written >= events[i]->len; i++) {
        written -= events[i]->len;
    }
    *complete = i;
    if (i < n && written > 0) {
        client->pinned = rs_event_take(events[i]);
        client->pinned_off = written;
    }
}

static void count(const rs_client_t *client, const rs_event_t *event, int sent)
{
    rs_stream_stats_t *stats = client->topic->source->streams[event->stream].stats;

    if (sent) {
        RS_STAT_ADD(stats->delivered, 1);
    }
    else {
        RS_STAT_ADD(stats->filtered, 1);
    }
}

/* The cursor that stands in the event's frame: the topic's position after it. */
static int frame_cursor(const rs_client_t *client, const rs_event_t *event, rs_cursor_t *cursor)
{
    cursor->n = client->topic->nstreams;
    cursor->keys = client->topic->fingerprint;
    return rs_event_cursor(event, cursor);
}

/* Takes the event's position into the client's own: in no stream does it ever go back. */
static void advance(rs_client_t *client, const rs_event_t *event)
{
    rs_cursor_t *own = &client->resume->own, after;

    if (own->n == 1) {
        own->pos[0] = event->id;
        return;
    }
    if (frame_cursor(client, event, &after)) {
        rs_cursor_raise(own, &after);
    }
}

/* The same event with the client's own position as its id. */
static rs_event_t *with_own_id(const rs_client_t *client, const rs_event_t *event)
{
    char id[RS_CURSOR_LEN + 8];
    size_t len, head = event->head, rest = event->len - event->tail;
    rs_event_t *mine;

    memcpy(id, "id: ", 4);
    len = 4 + rs_cursor_format(id + 4, &client->resume->own);
    id[len++] = '\n';
    mine = rs_event_create(event->stream, event->id, NULL, head + len + rest, "", 0);
    if (mine) {
        memcpy(mine->frame, event->frame, head);
        memcpy(mine->frame + head, id, len);
        memcpy(mine->frame + head + len, event->frame + event->tail, rest);
    }
    return mine;
}

static int has(const rs_client_t *client, const rs_event_t *event)
{
    const rs_cursor_t *own = &client->resume->own;

    return rs_id_cmp(event->id, own->pos[rs_topic_k(client->topic, event->stream)]) <= 0;
}

int rs_client_send(rs_client_t *client, rs_event_t *const *events, int n)
{
    int i;

    for (i = 0; i < n && !client->pinned; i++) {
        rs_event_t *event = events[i];
        int rv;

        if (has(client, event)) {
            continue;
        }
        advance(client, event);
        if (!rs_client_wants(client, event)) {
            count(client, event, 0);
            continue;
        }
        client->pinned =
            client->resume->own.n == 1 ? rs_event_take(event) : with_own_id(client, event);
        client->pinned_off = 0;
        if (!client->pinned) {
            return -1;
        }
        count(client, event, 1);
        client->resume->replayed++;
        rv = rs_client_flush(client);
        if (rv < 0) {
            return -1;
        }
    }
    return i;
}

int rs_client_catch_up(rs_client_t *client, apr_uint64_t upto)
{
    rs_event_t *events[CATCH_UP_BATCH];
    int round;

    for (round = 0; client->seq < upto && round < CATCH_UP_ROUNDS; round++) {
        apr_uint64_t left = upto - client->seq;
        int i, n, done;

        n = rs_topic_read(client->topic, client->seq, events,
                          left < CATCH_UP_BATCH ? (int)left : CATCH_UP_BATCH);
        if (n < 0) {
            return -2;
        }
        done = rs_client_send(client, events, n);
        for (i = 0; i < n; i++) {
            rs_event_drop(events[i]);
        }
        if (done < 0) {
            return -1;
        }
        client->seq += (apr_uint64_t)done;
        if (client->pinned) {
            return 0;
        }
    }
    return 1;
}
