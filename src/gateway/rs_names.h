/* SPDX-License-Identifier: Apache-2.0
 *
 * Identities in Redis: which connections have one, and what is kept for one that nobody has. Each
 * connection comes and goes under its own token, so nobody removes another one. Whoever has the
 * connection to Redis.
 */
#ifndef RS_NAMES_H
#define RS_NAMES_H

#include "../log/rs_common.h"
#include "../proto/rs_gateway.h"
#include "../redis/rs_redis_pool.h"

/* So many events are kept, and RaglineMaxMessage bytes of them. */
#define RS_NAMES_KEPT "100"

/* Who has had it: tokens, and what is to be done with them. */
typedef struct {
    struct redisReply *reply; /* what the others stand in */
    const struct redisReply *others, *kept;
    int entered; /* 0: others have it, and are not to be replaced */
} rs_names_claim_t;

/* 0: Redis did not do it. Else freed with rs_names_claim_free(). */
int rs_names_claim(rs_names_claim_t *claim, rs_redis_conn_t *conn, const char *identity,
                   const char *token, rs_duplicate_t duplicate);
void rs_names_claim_free(rs_names_claim_t *claim);

/* What was kept, for a connection that knows this dialect. How many, and the last one's stamp. */
unsigned rs_names_frames(rs_buf_t *b, const rs_names_claim_t *claim, int dialect,
                         char last[RS_GATE_STAMP_LEN]);

/* That token is there, as after Redis has lost data, or is not there any more. */
void rs_names_enter(rs_redis_conn_t *conn, const char *identity, const char *token);
void rs_names_leave(rs_redis_conn_t *conn, const char *identity, const char *token);

/* What was kept has arrived, up to the one with that stamp. */
void rs_names_arrived(rs_redis_conn_t *conn, const char *identity, const char *last);

/* To every connection that has the order's identity; keep: how long what nobody is there for is
 * kept, 0: not at all. RS_SENT_GONE: nobody, and nothing is kept. Any thread that may wait. */
rs_sent_t rs_names_send(rs_common_t *common, rs_redis_pool_t *pool,
                        const rs_gateway_order_t *order, apr_interval_time_t keep);

#endif
