/* SPDX-License-Identifier: Apache-2.0
 *
 * From records of this child to who serves them. The hub looks them up, streamers serve.
 */
#include <string.h>

#include "rs_registry_int.h"

const char *rs_registry_serve(rs_registry_t *registry, int seat, rs_client_t *client, int streamer)
{
    const char *doom;

    if (!registry || seat == RS_NO_SEAT) {
        return NULL;
    }
    pthread_mutex_lock(&registry->lock);
    registry->served[seat].client = client;
    registry->served[seat].streamer = streamer;
    doom = registry->served[seat].doom;
    pthread_mutex_unlock(&registry->lock);
    return doom;
}

/* lock: whether it is still there */
static int is_good(const rs_registry_t *registry, const rs_ticket_t *ticket)
{
    const rs_seat_t *seat = rs_seat_at(rs_seat_own(registry, ticket->seat));

    return seat->taken && seat->random == ticket->random;
}

rs_client_t *rs_registry_served(rs_registry_t *registry, const rs_ticket_t *ticket, int streamer)
{
    const rs_served_t *served = &registry->served[ticket->seat];
    rs_client_t *client = NULL;

    pthread_mutex_lock(&registry->lock);
    if (is_good(registry, ticket) && served->streamer == streamer) {
        client = served->client;
    }
    pthread_mutex_unlock(&registry->lock);
    return client;
}

int rs_registry_doom(rs_registry_t *registry, const rs_ticket_t *ticket, const char *code)
{
    rs_served_t *served = &registry->served[ticket->seat];
    int streamer = -1;

    pthread_mutex_lock(&registry->lock);
    if (is_good(registry, ticket)) {
        served->doom = code ? code : served->doom;
        streamer = served->client ? served->streamer : -1;
    }
    pthread_mutex_unlock(&registry->lock);
    return streamer;
}

static void look_at(rs_registry_t *registry, int at, const rs_wanted_t *w,
                    void (*call)(void *baton, const rs_ticket_t *ticket), void *baton)
{
    rs_ticket_t ticket = {at, 0};
    rs_seat_t seat;

    if (rs_seat_read(&seat, rs_seat_own(registry, at)) && rs_seat_is_wanted(w, &seat)) {
        ticket.random = seat.random;
        call(baton, &ticket);
    }
}

void rs_registry_own(rs_registry_t *registry, const rs_whom_t *whom, const char *id,
                     void (*call)(void *baton, const rs_ticket_t *ticket), void *baton)
{
    rs_wanted_t w = rs_seat_wanted(registry, whom);
    apr_uint64_t place = id ? rs_registry_after(registry, id) - 1 : 0;
    int at, used = (int)__atomic_load_n(&registry->mine->used, __ATOMIC_ACQUIRE);
    char text[RS_CONNECTION_ID_LEN];

    /* Mostly it is for others. */
    if ((w.tenant && !rs_tally_own(registry, w.tenant))
        || (w.user && !rs_tally_own(registry, w.user))) {
        return;
    }
    if (!id) {
        for (at = 0; at < used; at++) {
            look_at(registry, at, &w, call, baton);
        }
        return;
    }
    at = (int)(apr_uint32_t)place;
    if (place >> 32 == registry->place && at >= 0 && at < used
        && !strcmp(rs_registry_id(registry, at, text), id)) {
        look_at(registry, at, &w, call, baton);
    }
}
