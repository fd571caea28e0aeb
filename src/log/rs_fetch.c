/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetches as such. The streamer's thread makes and frees them, the hub's when the streamer has
 * ended.
 */
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "rs_fetch.h"
#include "rs_tenants.h"

void rs_fetch_drop_chunk(rs_fetch_t *f, int k)
{
    if (f->chunk[k]) {
        freeReplyObject(f->chunk[k]);
        f->chunk[k] = NULL;
    }
}

void rs_fetch_drop_chunks(rs_fetch_t *f)
{
    int k;

    for (k = 0; k < RS_STREAMS_MAX; k++) {
        rs_fetch_drop_chunk(f, k);
    }
}

rs_fetch_t *rs_fetch_create(rs_client_t *client)
{
    rs_fetch_t *f = calloc(1, sizeof(*f));

    if (f) {
        f->client = client;
        f->streamer = client->streamer;
        f->topic = client->topic;
        f->tenant = client->topic->owner->name;
        f->own = client->resume->own;
        f->losses = client->resume->losses;
    }
    return f;
}

void rs_fetch_free(rs_fetch_t *f)
{
    rs_fetch_drop_chunks(f);
    while (f->n) {
        rs_event_drop(f->events[--f->n]);
    }
    free(f);
}
