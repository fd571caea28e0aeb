/* SPDX-License-Identifier: Apache-2.0
 *
 * Endings. The streamer's thread; nothing in here waits.
 */
#include "../base/rs_clock.h"
#include "../log/rs_profile.h"
#include "../wire/rs_wire.h"
#include "rs_catch_up.h"
#include "rs_end.h"
#include "rs_hear.h"
#include "rs_output.h"
#include "rs_watch.h"

#define LINGER apr_time_from_sec(2)

/* Before the peer hears of its end: it may come back at once, and must find its place free. */
static void leave_registry(rs_streamer_t *s, rs_client_t *client)
{
    rs_registry_leave(s->common->registry, client->seat);
    client->seat = RS_NO_SEAT;
}

/* The client is closed now and given to the hub at the end of the turn: the poller may have
 * reported it twice. */
void rs_end_release(rs_streamer_t *s, rs_client_t *client)
{
    rs_wheel_unset(&s->wheel, &client->timer);
    rs_poll_del(s->poll, client->conn.fd);
    rs_feed_leave(client);
    rs_catch_up_forget(client);
    rs_hear_end(client);
    rs_output_unpin(client);
    leave_registry(s, client);
    client->conn.transport->close(&client->conn);
    client->conn.fd = -1;
    s->clients--;
    RS_STAT_SUB(s->common->stats->connections, 1);
    client->msg.next = (rs_msg_t *)s->released;
    s->released = client;
}

/* Everything is written: say so to the peer and give it a moment to close first, so that its last
 * bytes do not turn our close into a reset that would take away what it has not read yet. */
void rs_end_linger(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state != RS_LINGER) {
        client->state = RS_LINGER;
        client->deadline = s->now + (rs_end_is_answered(client) ? client->profile->stall : LINGER);
    }
    rs_watch_room(s, client, !client->conn.transport->finish(&client->conn));
    rs_wheel_set(&s->wheel, &client->timer, client->deadline);
}

/* Ends a stream with what is in s->buf as its last bytes. A client whose socket is full is just
 * closed if it was stuck within a frame: nothing may come in between. */
void rs_end_with_buf(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        return;
    }
    leave_registry(s, client);
    rs_feed_leave(client);
    rs_catch_up_forget(client);
    if (client->pinned || !rs_output_buf(client, &s->buf)) {
        rs_end_release(s, client);
        return;
    }
    if (client->pinned) {
        client->state = RS_CLOSING;
        client->deadline = s->now + LINGER;
        rs_watch_room(s, client, 1);
        rs_wheel_set(&s->wheel, &client->timer, client->deadline);
        return;
    }
    rs_end_linger(s, client);
}

void rs_end(rs_streamer_t *s, rs_client_t *client, const char *code, const char *message,
            const char *error, apr_interval_time_t retry)
{
    rs_buf_clear(&s->buf);
    client->profile->wire->error(&s->buf, client->profile->name, code, message, error, retry);
    rs_end_with_buf(s, client);
}

void rs_end_draining(rs_streamer_t *s, rs_client_t *client)
{
    apr_uint32_t spread = (apr_uint32_t)apr_time_as_msec(s->spread);

    rs_end(s, client, "draining", "Stream ended", "the server is restarting, please reconnect",
           client->profile->retry + apr_time_from_msec(rs_jitter(&s->jitter, spread + 1)));
}

/* It is behind what its topic holds, and its endpoint does not wait for such readers. */
void rs_end_slow(rs_streamer_t *s, rs_client_t *client)
{
    rs_end(s, client, "slow_consumer", "Stream ended", "events came faster than they were read",
           client->profile->retry);
}

/* Others get what it was sent; its page may have lost its way. */
void rs_end_mute(rs_streamer_t *s, rs_client_t *client)
{
    rs_end(s, client, "slow_consumer", "Stream ended", "no event was acknowledged in time",
           client->profile->retry);
}
