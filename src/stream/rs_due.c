/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines. The streamer's thread.
 */
#include "../base/rs_clock.h"
#include "../log/rs_profile.h"
#include "../wire/rs_wire.h"
#include "rs_deliver.h"
#include "rs_due.h"
#include "rs_feed.h"
#include "rs_gated.h"
#include "rs_hear.h"
#include "rs_renew.h"

/* How often a client that has no room is looked at: where falling behind ends it, and elsewhere. */
#define LOOK_SLOW apr_time_from_sec(1)
#define LOOK apr_time_from_sec(10)
/* How old what the registry says of a client may be. */
#define NOTE apr_time_from_sec(60)

int rs_due_blocked(const rs_client_t *client) { return client->pinned || client->wants_out; }

apr_interval_time_t rs_due_patience(const rs_client_t *client)
{
    return client->member ? rs_deliver_patience(client) : client->profile->stall;
}

apr_time_t rs_due_stuck_since(const rs_client_t *client)
{
    return client->since > client->last_out ? client->since : client->last_out;
}

/* When a client that has no room is looked at again. */
static apr_time_t blocked_until(const rs_streamer_t *s, const rs_client_t *client)
{
    apr_time_t stalled = rs_due_stuck_since(client) + rs_due_patience(client);
    apr_time_t look = s->now + (client->profile->slow_disconnect ? LOOK_SLOW : LOOK);

    return look < stalled ? look : stalled;
}

int rs_due_is_lost(const rs_client_t *client)
{
    const rs_transport_t *transport = client->conn.transport;

    return transport->is_lost && transport->is_lost(&client->conn);
}

static int is_open(const rs_client_t *client)
{
    return client->state == RS_LIVE || client->state == RS_BEHIND;
}

apr_time_t rs_due(rs_streamer_t *s, const rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;
    apr_time_t due = s->now + (s->common->registry ? NOTE : apr_time_from_sec(3600));

    if (rs_gated_waits(client)) {
        return due;
    }
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        due = client->deadline;
    }
    else if (client->state == RS_BEHIND && (rs_due_blocked(client) || client->topic)) {
        due = rs_due_blocked(client) ? blocked_until(s, client) : client->deadline;
        if (beat && !rs_due_blocked(client) && rs_feed_last_out(client) + beat < due) {
            /* A replay may go through much that is not for it. */
            due = rs_feed_last_out(client) + beat;
        }
    }
    else if (client->state == RS_LIVE && client->profile->wire->one_batch) {
        due = client->deadline;
    }
    else if (beat) {
        /* Up to an eighth early: clients that all got the same event must not all be due at the
         * same moment. */
        due = rs_feed_last_out(client) + beat
              - rs_jitter(&s->jitter, (apr_uint32_t)(apr_time_as_msec(beat) / 8 + 1)) * 1000;
    }
    if (client->expires && client->expires < due) {
        due = client->expires;
    }
    if (is_open(client) && client->reauthorize && client->reauthorize < due) {
        due = client->reauthorize;
    }
    if (is_open(client) && !rs_due_blocked(client) && rs_renew_challenge_due(client)
        && rs_renew_challenge_due(client) < due) {
        due = rs_renew_challenge_due(client);
    }
    if (rs_deliver_due(client) && rs_deliver_due(client) < due) {
        due = rs_deliver_due(client);
    }
    if (!rs_due_blocked(client) && rs_hear_has_rest(client)) {
        due = s->now;
    }
    if (!rs_due_blocked(client) && rs_hear_due(client) && rs_hear_due(client) < due) {
        due = rs_hear_due(client);
    }
    if (!rs_due_blocked(client) && rs_hear_finish_due(client)
        && rs_hear_finish_due(client) < due) {
        due = rs_hear_finish_due(client);
    }
    return due;
}
