/* SPDX-License-Identifier: Apache-2.0
 *
 * Between nodes: what is to be sent to a connection of another node is put into that node's list in
 * Redis. Any child of that node takes it out, hands it over (rs_relay.h), and answers into a list
 * that who asked waits at. A thread of its own takes out.
 */
#ifndef RS_LETTERS_H
#define RS_LETTERS_H

#include "../redis/rs_redis_pool.h"
#include "rs_hand.h"

typedef struct rs_letters_t rs_letters_t;

/* While no thread runs; there is a registry. */
apr_status_t rs_letters_create(rs_letters_t **letters, apr_pool_t *p, rs_common_t *common,
                               const rs_redis_url_t *url);
apr_status_t rs_letters_start(rs_letters_t *letters, apr_pool_t *p);
void rs_letters_stop(rs_letters_t *letters);

/* RS_SENT_GONE: no such node lives. Waits a second. Any thread that may wait. */
rs_sent_t rs_letters_send(rs_redis_pool_t *pool, const char *node,
                          const rs_gateway_order_t *order);

#endif
