/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a client may stay: asking for a new token, taking one, and when it has to come anew. The
 * streamer's thread.
 */
#ifndef RS_RENEW_H
#define RS_RENEW_H

#include "../log/rs_command.h"
#include "rs_streamer_int.h"

/* From now on it is here. */
void rs_renew_begin(rs_streamer_t *s, rs_client_t *client);

/* When it is to be asked for a new token; 0: it is not. */
apr_time_t rs_renew_challenge_due(const rs_client_t *client);

/* Asks. RS_NEXT_GO, or RS_NEXT_GONE. */
rs_next_t rs_renew_challenge(rs_streamer_t *s, rs_client_t *client);

/* By a token that it sent. Appends the answer. The client may stay for as long as this token or its
 * old one is good, or nothing has changed. Costs what a signature costs: a tenth of a millisecond,
 * for each key that it may be of. */
void rs_renew(rs_streamer_t *s, rs_client_t *client, const char *token, size_t len, rs_buf_t *out);

/* By one that a worker has judged. */
void rs_renew_ordered(rs_streamer_t *s, rs_client_t *client, const rs_command_t *command);

#endif
