/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection of the gateway, and what reaches it by its token. A worker makes it, a streamer owns
 * it as it owns its client; others hold references, find it by its token, and send: a message that
 * the streamer answers. Whoever sends waits for that answer, so what it says is true.
 */
#ifndef RS_GATE_H
#define RS_GATE_H

#include <pthread.h>

#include "../base/rs_buf.h"
#include "rs_callback.h"
#include "rs_gate_token.h"

typedef struct rs_gate_t rs_gate_t;
typedef struct rs_send_t rs_send_t;
typedef struct rs_owed_t rs_owed_t;

#define RS_GATE_SLOTS 1024
#define RS_GATE_STAMP_LEN 17 /* of what was kept for an identity, with the NUL */

typedef enum {
    RS_GATE_WAITS, /* for the answer to its connect callback: nothing was written to it */
    RS_GATE_OPEN,
    RS_GATE_ENDED
} rs_gate_state_t;

/* What becomes of another connection with the same identity. */
typedef enum { RS_DUPLICATE_REPLACE, RS_DUPLICATE_ALLOW, RS_DUPLICATE_REJECT } rs_duplicate_t;

/* Whether a connection has its identity. */
typedef enum {
    RS_CLAIM_NONE, /* it was not asked for */
    RS_CLAIM_GOOD,
    RS_CLAIM_TAKEN, /* another one has it, and stays */
    RS_CLAIM_AWAY   /* Redis does not say */
} rs_claimed_t;

struct rs_gate_t {
    int refs;        /* atomic */
    int left;        /* atomic: the streamer says that the client has */
    rs_gate_t *next; /* in its slot of the table */

    /* Constant once it is in the table. */
    char token[RS_GATE_TOKEN_LEN];
    unsigned turn; /* which streamer: any number */
    int dialect;   /* RS_DIALECT_… */
    char *identity; /* its own block; NULL: none */
    rs_duplicate_t duplicate;
    rs_common_t *common;
    rs_backend_t *backend;
    rs_inbox_t *streamer;
    char *lines;   /* what httpd says in the response's head beside our own; "": nothing */
    char *request; /* as callbacks tell it, a JSON object; both stand in `text` */

    /* The streamer. */
    rs_client_t *client; /* NULL: it has ended */
    rs_gate_state_t state;
    unsigned kept;         /* events in `waiting`, before it was open */
    int closing;           /* it was told to close when everything is written */
    const char *reason;    /* why it ended, where that is known before */
    rs_buf_t waiting;      /* what was sent and not written yet */
    rs_callback_t *answer; /* with: */
    rs_msg_t called;       /* RS_MSG_CALLED */
    rs_msg_t asked, ended; /* RS_MSG_ASKED, _ENDED: to the ledger, once each */
    int known;             /* the ledger has had RS_MSG_ASKED */
    int was_open;          /* when it ended: its back end is told */
    int claims;            /* its identity: */

    /* The ledger's from RS_MSG_CLAIM on, the streamer's from RS_MSG_CLAIMED on. */
    rs_msg_t claim; /* and then RS_MSG_ARRIVED */
    rs_claimed_t claimed;
    rs_buf_t kept_frames; /* what was kept for it while it was not there */
    unsigned nkept;
    char kept_to[RS_GATE_STAMP_LEN]; /* of these the last */

    rs_owed_t *owed; /* the ledger's */

    char text[];
};

/* With one reference and a new token; NULL when memory is short, or there are no random numbers. */
rs_gate_t *rs_gate_create(rs_common_t *common, rs_backend_t *backend, const char *lines,
                          const char *request, size_t request_len);
rs_gate_t *rs_gate_take(rs_gate_t *gate);
void rs_gate_drop(rs_gate_t *gate);

/* Before it is anybody else's. 0: memory is short. */
int rs_gate_identify(rs_gate_t *gate, const char *identity, rs_duplicate_t duplicate);

/* Callbacks, NULL when memory is short: by which its back end is asked, */
rs_callback_t *rs_gate_callback(const rs_gate_t *gate, void (*done)(rs_callback_t *));

/* and by which one is told of an end. */
rs_callback_t *rs_gate_told(rs_backend_t *backend, const char *token, const char *reason,
                            const char *request, void (*done)(rs_callback_t *));

/* --- those that can be sent to, of this child --- */

typedef struct {
    pthread_mutex_t lock;
    rs_gate_t *slots[RS_GATE_SLOTS]; /* lock */
} rs_gates_t;

void rs_gates_open(rs_gates_t *table);
void rs_gates_close(rs_gates_t *table);

/* The streamer. */
void rs_gates_add(rs_gates_t *table, rs_gate_t *gate);
void rs_gates_remove(rs_gates_t *table, rs_gate_t *gate);

/* With a reference; NULL: there is none. Any thread. */
rs_gate_t *rs_gates_find(rs_gates_t *table, const char *token);

/* --- sending --- */

typedef enum {
    RS_SENT,          /* its socket has it, or is the next that has it */
    RS_SENT_BUFFERED, /* it will have it when it opens */
    RS_SENT_GONE,     /* it has ended */
    RS_SENT_FAILED,   /* it ended by this: the client is gone */
    RS_SENT_FULL,     /* too much waits for it already */
    RS_SENT_LATE,     /* whoever has it had no time for it, and will not send it any more */
    RS_SENT_TOO_BIG,  /* it may not be so large */
    RS_SENT_UNKNOWN,  /* who has it does not say whether it was sent */
    RS_SENT_AWAY,     /* Redis cannot be asked who has it; nothing was sent */
    RS_SENT_ELSEWHERE /* another child of this node has it, and cannot be reached */
} rs_sent_t;

/* Frames and, after them, the end; either may be nothing. Waits for the answer, `patience` at most
 * until the streamer begins. Any thread that may wait. */
rs_sent_t rs_gate_send(rs_gate_t *gate, const char *frames, size_t len, int close,
                       apr_interval_time_t patience);

struct rs_send_t {
    rs_msg_t msg; /* first: RS_MSG_SEND */
    rs_gate_t *gate;
    int close;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int taken, done; /* lock */
    int withdrawn;   /* lock */
    rs_sent_t sent;  /* lock */
    int refs;            /* atomic */
    size_t len;
    char frames[];
};

/* The streamer: 0: nobody waits for it any more, and it is gone; 1: it is to be answered. */
int rs_send_begin(rs_send_t *send);
void rs_send_answer(rs_send_t *send, rs_sent_t sent);

#endif
