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
                    + strlen(params->tenant_json) + strlen(params->user_json) + 4);
    if (!client) {
        return NULL;
    }
    memset(client, 0, sizeof(*client));
    client->fd = params->fd;
    client->transport = params->transport;
    client->session = params->session;
    client->profile = params->profile;
    client->brought_cursor = params->brought_cursor;
    if (params->expires) {
        client->expires = rs_clock_now() + (params->expires - apr_time_now());
        if (client->expires <= 0) {
            client->expires = 1;
        }
    }
    text = client->text;
    client->tenant = put(&text, params->tenant);
    client->user = put(&text, params->user);
    client->tenant_json = put(&text, params->tenant_json);
    client->user_json = put(&text, params->user_json);
    return client;
}

void rs_client_destroy(rs_client_t *client)
{
    rs_event_drop(client->pinned);
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

/* What became of the first n events: sent, or held back by the endpoint's filters. */
static void count(const rs_client_t *client, rs_event_t *const *events, const char *wanted, int n)
{
    rs_stream_t *streams = client->follow->topic->source->streams;
    int i;

    for (i = 0; i < n; i++) {
        rs_stream_stats_t *stats = streams[events[i]->stream].stats;

        if (wanted[i]) {
            RS_STAT_ADD(stats->delivered, 1);
        }
        else {
            RS_STAT_ADD(stats->filtered, 1);
        }
    }
}

/* Sends the wanted ones of n events from client->seq on; like rs_client_catch_up(). */
static int send_batch(rs_client_t *client, rs_event_t **events, int n)
{
    rs_event_t *chosen[CATCH_UP_BATCH];
    int index[CATCH_UP_BATCH];
    char wanted[CATCH_UP_BATCH];
    struct iovec iov[CATCH_UP_BATCH];
    size_t total = 0;
    ssize_t written = 0;
    int i, k = 0, complete, done = n;

    for (i = 0; i < n; i++) {
        wanted[i] = (char)rs_client_wants(client, events[i]);
        if (wanted[i]) {
            chosen[k] = events[i];
            index[k] = i;
            iov[k].iov_base = events[i]->frame;
            iov[k++].iov_len = events[i]->len;
            total += events[i]->len;
        }
    }
    if (k > 0) {
        written = client->transport->writev(client, iov, k);
        if (written < 0) {
            return -1;
        }
        client->last_out = written > 0 ? rs_clock_now() : client->last_out;
    }
    if ((size_t)written < total) {
        rs_client_pin(client, chosen, k, (size_t)written, &complete);
        /* A pinned frame will be finished whatever comes, so the next number is the one after. */
        done = index[complete] + (client->pinned != NULL);
    }
    count(client, events, wanted, done);
    client->seq += (apr_uint64_t)done;
    return (size_t)written == total;
}

int rs_client_catch_up(rs_client_t *client, apr_uint64_t upto)
{
    rs_event_t *events[CATCH_UP_BATCH];
    int round, rv = 1;

    for (round = 0; rv == 1 && client->seq < upto && round < CATCH_UP_ROUNDS; round++) {
        apr_uint64_t left = upto - client->seq;
        int i, n;

        n = rs_topic_read(client->follow->topic, client->seq, events,
                          left < CATCH_UP_BATCH ? (int)left : CATCH_UP_BATCH);
        if (n < 0) {
            return -2;
        }
        rv = send_batch(client, events, n);
        for (i = 0; i < n; i++) {
            rs_event_drop(events[i]);
        }
    }
    return rv;
}
