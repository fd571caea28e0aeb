/* SPDX-License-Identifier: Apache-2.0
 *
 * What the poller reports. The streamer's thread.
 */
#include "rs_hear.h"
#include "rs_watch.h"

/* Room is waited for by what is to be sent, and by what the transport has taken. What could not be
 * answered now is not read. */
void rs_watch(rs_streamer_t *s, rs_client_t *client)
{
    int deaf = rs_hear_listens(client) && (client->pinned || rs_hear_has_rest(client));
    int wanted =
        (deaf ? 0 : RS_POLL_IN) | (client->wants_out || client->conn.holds ? RS_POLL_OUT : 0);

    if (client->polled != wanted) {
        client->polled = wanted;
        rs_poll_mod(s->poll, client->conn.fd, wanted, client);
    }
}

void rs_watch_out(rs_streamer_t *s, rs_client_t *client, int wanted)
{
    if (client->wants_out != wanted) {
        client->wants_out = wanted;
        client->since = s->now;
    }
    rs_watch(s, client);
}
