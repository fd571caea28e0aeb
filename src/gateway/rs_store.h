/* SPDX-License-Identifier: Apache-2.0
 *
 * What back ends are to be told of ends, in Redis: a hash for each child, with a record of each of
 * its connections that is open, or has ended and was not told yet. A child that lives says so every
 * two seconds; of one that does not, others take over what it had. Whoever has the connection.
 */
#ifndef RS_STORE_H
#define RS_STORE_H

#include "../log/rs_gate_token.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_redis_conn.h"

#define RS_STORE_NAME_LEN 48
#define RS_STORE_LEASE 10 /* seconds */

/* A record. Texts have no newline, but for the request, which is last. */
typedef struct {
    const char *backend;  /* what it is called in logs */
    const char *reason;   /* "": it is open */
    const char *identity; /* "": none */
    const char *secret;   /* with which its back end is told, as rs_backend_t says */
    const char *request;
    apr_int64_t ended; /* seconds since 1970; 0: it is open */
} rs_record_of_gate_t;

/* Of this child: its node, its process, and what no other has. */
int rs_store_name(char name[RS_STORE_NAME_LEN], const char *node);

/* 0: Redis did not do it. */
int rs_store_put(rs_redis_conn_t *conn, const char *child, const char *token,
                 const rs_record_of_gate_t *record);
int rs_store_drop(rs_redis_conn_t *conn, const char *child, const char *token);

/* Redis calls what it knows by a name, which is another one when it has lost all of it. "": it was
 * not asked yet. */
#define RS_STORE_MEMORY_LEN (RS_STORE_NAME_LEN + 24)

/* It has; so children that know better are at it, and nobody can say who is there. Or it has never
 * heard of any. */
#define RS_STORE_MEMORY_KEY RS_OWN_GATEWAY "memory"
#define RS_STORE_LOST_KEY RS_OWN_GATEWAY "lost"

/* This child lives, and its records so long at least (0: it has none). 1; 2: Redis has not known of
 * it; 0: Redis did not do it; -1: others have taken over what it had. */
int rs_store_live(rs_redis_conn_t *conn, const char *child, apr_interval_time_t keep,
                  char memory[RS_STORE_MEMORY_LEN]);

/* This child ends: what is left is for others. */
void rs_store_end(rs_redis_conn_t *conn, const char *child);

/* Redis has lost what it knew, and it is being told anew: for some seconds nobody can say who is
 * there. */
void rs_store_lost(rs_redis_conn_t *conn);

/* Calls for each child that Redis knows of (of very many, some): whether it has said that it lives.
 * 0: Redis is not there, or refuses it. */
int rs_store_look(rs_redis_conn_t *conn, void (*call)(void *baton, const char *child, int lives),
                  void *baton);

/* Takes some records of a child that is gone, `dead`: as the system says; else what is of back ends
 * that are known here (what records call them, each between newlines): those who know the others
 * tell them. Calls for each, whose texts live as long as the call. How many; 0: there are none
 * left, or it lives, or what stands there is none of ours; -1: Redis is not there. */
int rs_store_take(rs_redis_conn_t *conn, const char *me, const char *child, int dead,
                  const char *known,
                  void (*call)(void *baton, const char *token, const rs_record_of_gate_t *record),
                  void *baton);

#endif
