/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets that agreed on permessage-deflate: as the dialect is, but frames of events that are
 * large enough are compressed, once for all who read them so, and clients may compress what they
 * say. What the module itself says is small, and is not. Any thread.
 *
 * From which size on events are compressed is part of what a frame is: two endpoints that say
 * different sizes must not get each other's frames. So there is a wire for each dialect and size,
 * made when the first client comes, for the life of the process.
 */
#include <pthread.h>

#include "../proto/rs_ws.h"
#include "rs_wire.h"

/* As many as a configuration has different ones, as a rule one or two. An event knows its frames by
 * a byte. */
#define WIRES 64

static struct {
    pthread_mutex_t lock;
    int n;
    rs_wire_t wires[WIRES];
} made = {.lock = PTHREAD_MUTEX_INITIALIZER};

static rs_wire_peer_t peer; /* of all dialects */

/* What is known of a peer begins with its frames. */
static void begin(void *state, size_t max)
{
    rs_wire_websocket.peer->begin(state, max);
    rs_ws_allow_deflate(state);
}

/* Dialects whose events are the same share their frames. */
static int frames_of(const rs_wire_t *plain, size_t min)
{
    int i;

    for (i = 0; i < made.n; i++) {
        if (made.wires[i].plain->frames == plain->frames && made.wires[i].pack_min == min) {
            return made.wires[i].frames;
        }
    }
    return RS_WIRES + made.n;
}

static const rs_wire_t *make(const rs_wire_t *plain, size_t min)
{
    rs_wire_t *wire;

    if (made.n == WIRES) {
        return NULL;
    }
    if (!made.n) {
        peer = *plain->peer;
        peer.begin = begin;
    }
    wire = &made.wires[made.n];
    *wire = *plain;
    wire->frames = frames_of(plain, min);
    wire->peer = &peer;
    wire->plain = plain;
    wire->pack_min = min;
    wire->pack = rs_ws_deflate;
    made.n++;
    return wire;
}

const rs_wire_t *rs_wire_deflated(const rs_wire_t *plain, size_t min)
{
    const rs_wire_t *wire = NULL;
    int i;

    pthread_mutex_lock(&made.lock);
    for (i = 0; i < made.n && !wire; i++) {
        if (made.wires[i].plain == plain && made.wires[i].pack_min == min) {
            wire = &made.wires[i];
        }
    }
    wire = wire ? wire : make(plain, min);
    pthread_mutex_unlock(&made.lock);
    return wire;
}
