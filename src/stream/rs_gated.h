/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of the gateway on its streamer: asked for at its back end, opened or refused as that
 * says, and sent what others send to it. The streamer's thread; nothing in here waits.
 */
#ifndef RS_GATED_H
#define RS_GATED_H

#include "rs_streamer_int.h"

/* Whether it is to be answered yet: nothing may be written to it. Also of any other client. */
int rs_gated_waits(const rs_client_t *client);

/* The streamer has it now: its connect callback is sent. */
rs_next_t rs_gated_begin(rs_streamer_t *s, rs_client_t *client);

/* That is done. */
rs_next_t rs_gated_answered(rs_streamer_t *s, rs_client_t *client);

/* What became of its identity. */
rs_next_t rs_gated_claimed(rs_streamer_t *s, rs_client_t *client);

/* It is sent something; *sent says what became of that. */
rs_next_t rs_gated_send(rs_client_t *client, const rs_send_t *send, rs_sent_t *sent);

/* Writes what it was sent, once nothing else is under way. */
rs_next_t rs_gated_go_on(rs_client_t *client);

/* Why it ends, unless that is known already: "server_closed", "error". Also of any other client. */
void rs_gated_reason(const rs_client_t *client, const char *reason);

/* It is over: nobody finds it any more, and its back end is told. */
void rs_gated_forget(rs_client_t *client);

#endif
