/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams that are refused for now: what the client is told, the figures, and a line in the log
 * when it begins and when it is over. Workers; rs_refusal_look() is the hub's thread.
 */
#ifndef RS_REFUSAL_H
#define RS_REFUSAL_H

#include "../conf/rs_httpd.h"

#include "../log/rs_stats.h"

/* child_init, before any worker. */
void rs_refusal_open(rs_stats_t *stats, int max_connections);

/* Why a child with as many streams as it may have refuses one more: httpd's children accept without
 * regard to that, so others may have room. */
rs_refusal_t rs_refusal_of_full_child(void);

/* Answers with 200, `retry:` and an `error` event: EventSource comes back after that, and after
 * no other status. The headers may be out already. Returns OK. */
int rs_refuse(request_rec *r, rs_refusal_t why);

/* For a client that understands a status: 503, when to try again, and a JSON error. Returns what a
 * handler returns. */
int rs_refuse_honestly(request_rec *r, const char *code, const char *message);

/* Once a second: says what is over. */
void rs_refusal_look(server_rec *s);

#endif
