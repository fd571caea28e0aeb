/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ways of writing share (rs_redis_xadd.c): for rs_redis_publish.c and
 * rs_redis_publish_once.c only.
 */
#ifndef RS_REDIS_PUBLISH_PRIVATE_H
#define RS_REDIS_PUBLISH_PRIVATE_H

#include "rs_redis_publish.h"

/* Behind XADD and the key: MAXLEN ~ n * and the fields. */
#define RS_XADD_ARGS_MAX (4 + 2 * RS_XADD_FIELDS_MAX)
#define RS_XADD_TRIM_LEN 24

/* What the script puts before the id of an event that it has not written again. */
#define RS_XADD_DUPLICATE '='

/* Fills argv and lens, which have room for RS_XADD_ARGS_MAX; `trim` must live as long. Returns how
 * many there are. XADD trims in one way only: of an item with both, MINID is left out. */
int rs_xadd_args(const rs_xadd_t *item, char trim[RS_XADD_TRIM_LEN], const char **argv,
                 apr_size_t *lens);

/* What is NOPERM outside of a script has no word of its own within. */
void rs_xadd_error_class(char out[RS_REDIS_CLASS_LEN], const struct redisReply *reply);

/* One answer to XADD. Returns 0 when it is neither an id nor an error. */
int rs_xadd_take_id(rs_xadd_t *item, const struct redisReply *reply);

/* The answers to all of them. */
rs_publish_outcome_t rs_xadd_take_ids(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                      const struct redisReply *reply);

/* After an answer that makes no sense. */
rs_publish_outcome_t rs_xadd_confused(rs_redis_conn_t *conn);

/* All items in one script, those with an event_key unless Redis remembers them. DONE: what Redis
 * refused to do besides is in `refused`. */
rs_publish_outcome_t rs_redis_publish_once(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                           char refused[RS_REDIS_CLASS_LEN]);

#endif
