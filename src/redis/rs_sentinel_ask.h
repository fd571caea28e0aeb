/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking sentinels where the master is (rs_sentinel.h), over connections that block.
 */
#ifndef RS_SENTINEL_ASK_H
#define RS_SENTINEL_ASK_H

#include "rs_redis_conn.h"
#include "rs_sentinel.h"

/* Asks over a connection with one of them, which is opened if it is not. Blocks. On failure `why`
 * says why. */
apr_status_t rs_sentinel_ask_one(rs_target_t *target, const rs_redis_url_t *url,
                                 rs_redis_conn_t *conn, const char *label, char *why,
                                 size_t why_size);

/* Asks one after the other, all of them within `timeout`. Blocks. The index of the one that
 * answered is in *index; on failure `why` says why the last one did not. */
apr_status_t rs_sentinel_ask(rs_target_t *target, int *index, const rs_redis_url_t *url,
                             apr_interval_time_t timeout, char *why, size_t why_size);

#endif
