/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a client. The streamer's thread; nothing in here waits.
 */
#include "../base/rs_clock.h"
#include "../log/rs_profile.h"
#include "../wire/rs_wire.h"
#include "rs_catch_up.h"
#include "rs_end.h"
#include "rs_feed.h"
#include "rs_gated.h"
#include "rs_hear.h"
#include "rs_output.h"
#include "rs_watch.h"

#define LINGER apr_time_from_sec(2)

/* A client whose token has expired comes back after so long at least: until then its page can get a
 * new one. EventSource would never come back after a 401. */
#define RENEWAL apr_time_from_sec(10)

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
    if (client->state == RS_LINGER && rs_hear_awaits(client)) {
        client->conn.transport->finish(&client->conn); /* it was put off */
    }
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

int rs_end_is_answered(const rs_client_t *client)
{
    return client->profile->wire->one_batch && client->accepted && client->resume;
}

/* The peer is told that nothing more comes, and has a moment to close first, so that its last bytes
 * do not turn our close into a reset that would take away what it has not read yet. One that is to
 * say goodbye is told when it has: over TLS some cannot any more once our end is there. */
void rs_end_linger(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state != RS_LINGER) {
        client->state = RS_LINGER;
        client->deadline = s->now + (rs_end_is_answered(client) ? client->profile->stall : LINGER);
    }
    rs_watch_out(s, client,
                 !rs_hear_awaits(client) && !client->conn.transport->finish(&client->conn));
    rs_wheel_set(&s->wheel, &client->timer, client->deadline);
}

/* A client whose socket is full is just closed if it was stuck within a frame: nothing may come in
 * between. */
void rs_end_with_buf(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        return;
    }
    leave_registry(s, client);
    rs_feed_leave(client);
    rs_gated_reason(client, "server_closed");
    rs_catch_up_forget(client);
    if (client->pinned || !rs_output_buf(client, &s->buf)) {
        rs_end_release(s, client);
        return;
    }
    rs_hear_part(client);
    if (client->pinned) {
        client->state = RS_CLOSING;
        client->deadline = s->now + LINGER;
        rs_watch_out(s, client, 1);
        rs_wheel_set(&s->wheel, &client->timer, client->deadline);
        return;
    }
    rs_end_linger(s, client);
}

static void end(rs_streamer_t *s, rs_client_t *client, const char *code, const char *message,
                const char *error, apr_interval_time_t retry)
{
    rs_buf_clear(&s->buf);
    client->profile->wire->error(&s->buf, client->profile->name, code, message, error, retry);
    rs_end_with_buf(s, client);
}

void rs_end_ordered(rs_streamer_t *s, rs_client_t *client, const char *code, const char *reason)
{
    end(s, client, code, "Stream ended",
        reason && *reason ? reason : "an administrator has closed this connection",
        client->profile->retry);
}

void rs_end_draining(rs_streamer_t *s, rs_client_t *client)
{
    apr_uint32_t spread = (apr_uint32_t)apr_time_as_msec(s->spread);

    end(s, client, "draining", "Stream ended", "the server is restarting, please reconnect",
        client->profile->retry + apr_time_from_msec(rs_jitter(&s->jitter, spread + 1)));
}

static void end_expired(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "token_expired", "Stream ended", "the token has expired",
        client->profile->retry > RENEWAL ? client->profile->retry : RENEWAL);
}

static void end_to_reauthorize(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "reauthorize", "Stream ended",
        "from time to time this server asks anew who may be here: please reconnect",
        client->profile->retry);
}

int rs_end_of_stay(rs_streamer_t *s, rs_client_t *client)
{
    int expired = client->expires && s->now >= client->expires;
    int stayed = client->reauthorize && s->now >= client->reauthorize;

    if (rs_gated_waits(client)) {
        return 0; /* its back end is told of an end when it has let it in */
    }
    if (expired) {
        end_expired(s, client);
    }
    else if (stayed) {
        end_to_reauthorize(s, client);
    }
    return expired || stayed;
}

void rs_end_refused(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, client->refused, "Stream failed", "events cannot be read at the moment",
        client->profile->retry);
}

/* It is behind what its topic holds, and its endpoint does not wait for such readers. */
void rs_end_slow(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "slow_consumer", "Stream ended", "events came faster than they were read",
        client->profile->retry);
}

/* Others get what it was sent; its page may have lost its way. */
void rs_end_mute(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "slow_consumer", "Stream ended", "no event was acknowledged in time",
        client->profile->retry);
}

void rs_end_full(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "over_limit", "Stream ended",
        "too much is kept of messages that were begun and not finished", client->profile->retry);
}

void rs_end_unfinished(rs_streamer_t *s, rs_client_t *client)
{
    end(s, client, "unfinished", "Stream ended", "a message was begun and not finished in time",
        client->profile->retry);
}
