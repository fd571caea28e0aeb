/* SPDX-License-Identifier: Apache-2.0
 *
 * A short script over an acquired connection. Whoever has the connection.
 */
#ifndef RS_REDIS_EVAL_H
#define RS_REDIS_EVAL_H

#include "rs_redis_conn.h"

#define RS_EVAL_WORDS_MAX 16

typedef struct {
    const char *words[RS_EVAL_WORDS_MAX];
    apr_size_t lens[RS_EVAL_WORDS_MAX];
    int nkeys, n;
} rs_eval_t;

/* Keys first, then arguments. */
void rs_eval_key(rs_eval_t *eval, const char *key);
void rs_eval_arg(rs_eval_t *eval, const char *data, apr_size_t len);

/* As rs_redis_conn_command(). */
apr_status_t rs_eval(rs_redis_conn_t *conn, struct redisReply **reply, const char *script,
                     const rs_eval_t *eval);

#endif
