/* SPDX-License-Identifier: Apache-2.0
 *
 * When a client has its next turn, whatever happens. The streamer's thread.
 */
#ifndef RS_DUE_H
#define RS_DUE_H

#include "rs_streamer_int.h"

/* When it is looked at again. */
apr_time_t rs_due(rs_streamer_t *s, const rs_client_t *client);

/* Whether it has no room. */
int rs_due_blocked(const rs_client_t *client);

/* Whether its machine is not there any more. */
int rs_due_is_lost(const rs_client_t *client);

/* How long the client may take nothing. */
apr_interval_time_t rs_due_patience(const rs_client_t *client);

/* Since when it has taken nothing of what waits for it: where nothing had waited, it was quiet. */
apr_time_t rs_due_stuck_since(const rs_client_t *client);

#endif
