/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger from inside: its thread (rs_ledger.c), that this child lives (rs_lease.c), what is
 * owed to back ends (rs_owed.c), what other children have left (rs_takeover.c), and who is called
 * what (rs_claim.c).
 */
#ifndef RS_LEDGER_INT_H
#define RS_LEDGER_INT_H

#include <apr_thread_proc.h>

#include "rs_ledger.h"
#include "rs_store.h"

/* An end that a back end is to be told of: sooner or later, or again. It is known of from before
 * the back end is asked, which may let in whom a child that is killed then never answers. Where
 * they are told once: a connection that has an identity, while it is open. */
struct rs_owed_t {
    rs_owed_t *next, **link;
    char token[RS_GATE_TOKEN_LEN];
    rs_gate_t *gate; /* of this child's own: a reference; NULL: another child had it */
    rs_backend_t *backend; /* NULL: it is not known here */
    const char *record, *secret; /* what Redis is told of that */
    const char *label;           /* and a log */
    const char *reason, *identity, *request;
    apr_time_t ended; /* wall clock; 0: it is open */
    apr_time_t due;   /* when it is told again; 0: not yet */
    int tries;
    int named;   /* it has its identity */
    int settled; /* and Redis is to hear of that, */
    int written; /* since it knows of it */
    char text[];
};

/* A process that has not answered in time; until 0: none. */
#define RS_LATE_MAX 8
typedef struct {
    rs_gate_token_t where;
    apr_time_t until;
} rs_late_t;

/* Another node's child that has not said that it lives; seen 0: none. */
#define RS_MISSING_MAX 1000
typedef struct {
    char child[RS_STORE_NAME_LEN];
    apr_time_t seen;    /* when it was missing last */
    apr_time_t dead_at; /* if it is missing then, it is dead */
} rs_missing_t;

struct rs_ledger_t {
    rs_common_t *common;
    rs_ledger_conf_t conf;
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    rs_msg_t stop_msg;

    /* The thread. */
    char child[RS_STORE_NAME_LEN];
    char memory[RS_STORE_MEMORY_LEN]; /* as rs_store_live() */
    rs_redis_conn_t *conn; /* NULL: none */
    apr_time_t again_at;   /* when connecting is tried again */
    apr_time_t up_since;
    apr_time_t live_at, look_at;
    rs_late_t late[RS_LATE_MAX];
    unsigned next_late;
    rs_missing_t missing[RS_MISSING_MAX];
    int told_blind; /* that nobody can be looked for */
    int stale;   /* Redis does not have what is in `owed` */
    int told_down;
    int over;
    int taken; /* others have told of connections that are still here */
    int anew; /* Redis did not know this child, and is told everything */
    int untold;  /* ends that are to be told again */
    int told_full;
    rs_owed_t *owed;
    apr_time_t owed_due; /* of all of them, the first */
    int more_due;        /* others wait for those that are being told */
};

/* Whether Redis is there, and has what is in `owed`. */
static inline int rs_ledger_is_up(const rs_ledger_t *l)
{
    return l->conn && !l->stale && rs_redis_conn_usable(l->conn);
}

/* rs_lease.c. As rs_store_live(). */
int rs_lease_renew(rs_ledger_t *l);

/* When it is time. 0: Redis does not know this child any more, or is not there. */
int rs_lease_keep(rs_ledger_t *l);

/* rs_takeover.c. Looks who is gone. */
void rs_take_over(rs_ledger_t *l);

/* rs_owed.c. The back end of a connection is being asked. */
void rs_owed_asked(rs_ledger_t *l, rs_gate_t *gate);

/* It has ended. If it was open its first callback is under way. */
void rs_owed_end(rs_ledger_t *l, rs_gate_t *gate);

/* What became of that, or of a later one. Frees the callback. */
void rs_owed_told(rs_ledger_t *l, rs_callback_t *callback);
void rs_owed_told_again(rs_ledger_t *l, rs_callback_t *callback);

/* Another child had it. */
void rs_owed_take(void *ledger, const char *token, const rs_record_of_gate_t *record);

/* Everything, anew. 0: Redis did not do it. */
int rs_owed_write_all(rs_ledger_t *l);

/* Tells again what is due. When the next one is, or may be. */
apr_time_t rs_owed_turn(rs_ledger_t *l, apr_time_t now);

/* Others have told of connections that are still here: they end. */
void rs_owed_end_open(rs_ledger_t *l);

void rs_owed_free_all(rs_ledger_t *l);

/* rs_claim.c. A connection that was let in wants its identity; the answer is posted. */
void rs_claim(rs_ledger_t *l, rs_gate_t *gate);

/* It has had what was kept for it; it has gone. */
void rs_claim_arrived(rs_ledger_t *l, const rs_gate_t *gate);
void rs_claim_ended(rs_ledger_t *l, const rs_gate_t *gate);

#endif
