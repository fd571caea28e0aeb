/* SPDX-License-Identifier: Apache-2.0
 *
 * A new token on an open connection. The streamer's thread.
 */
#ifndef RS_RENEW_H
#define RS_RENEW_H

#include "rs_streamer_int.h"

/* Appends the answer. The client may stay for as long as this token or its old one is good, or
 * nothing has changed. Costs what a signature costs: a tenth of a millisecond, for each key that it
 * may be of. */
void rs_renew(const rs_streamer_t *s, rs_client_t *client, const char *token, size_t len,
              rs_buf_t *out);

#endif
