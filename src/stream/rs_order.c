/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders.
 */
#include "../log/rs_profile.h"
#include "../wire/rs_wire.h"
#include "rs_end.h"
#include "rs_gated.h"
#include "rs_order.h"
#include "rs_output.h"

/* At most once: nothing comes in between an event and its end, and nothing of this is kept. */
rs_next_t rs_order_send(rs_streamer_t *s, rs_client_t *client, const rs_command_t *command)
{
    if (client->pinned || rs_gated_waits(client)
        || (client->state != RS_LIVE && client->state != RS_BEHIND)) {
        return RS_NEXT_WAIT;
    }
    rs_buf_clear(&s->buf);
    if (client->gate) {
        rs_wire_gateway_event(&s->buf, client->gate->dialect, command->type, command->payload);
    }
    else {
        client->profile->wire->message(&s->buf, command->type, strlen(command->type),
                                       command->payload, command->payload_len);
    }
    if (!rs_output_buf(client, &s->buf)) {
        return RS_NEXT_GONE;
    }
    if (!client->profile->wire->one_batch) {
        return RS_NEXT_GO;
    }
    if (client->state == RS_LIVE) {
        return RS_NEXT_DONE;
    }
    client->resume->said = 1;
    return RS_NEXT_GO;
}

int rs_order_begin(rs_streamer_t *s, rs_client_t *client)
{
    const char *doom = rs_registry_serve(s->common->registry, client->seat, client, s->index);

    if (doom) {
        rs_end_ordered(s, client, doom, NULL);
    }
    return !doom;
}
