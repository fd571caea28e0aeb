/* SPDX-License-Identifier: Apache-2.0
 *
 * A callback: one POST to an application's back end, and what became of it. Whoever makes it posts
 * it to rs_common_t's callbacks (RS_MSG_CALL); the thread there (gateway/rs_callbacks.h) gives it
 * back by done(). And back ends: where callbacks go, as the configuration says.
 */
#ifndef RS_CALLBACK_H
#define RS_CALLBACK_H

#include <pthread.h>

#include "../base/rs_buf.h"
#include "../base/rs_inbox.h"
#include "rs_stats.h"

typedef struct rs_backend_t rs_backend_t;
typedef struct rs_callback_t rs_callback_t;

/* So short that nobody learns from it what the secret is. */
#define RS_BACKEND_SECRET_LEN 5

/* Interned for the child's life: there are as many as the configuration has different ones. */
struct rs_backend_t {
    rs_backend_t *next; /* in the table */

    /* Constant. */
    const char *url;
    const char *label;  /* the URL without its query and its login, for logs */
    const char *record; /* in Redis: that, and a digest of all of it */
    char secret_record[RS_BACKEND_SECRET_LEN]; /* and of the secret */
    const char *secret; /* NULL: none */
    const char *ca;     /* a file with the authorities that are believed; NULL: the system's */
    apr_interval_time_t timeout;

    int telling; /* the ledger's: of ends, callbacks that are repeated */

    /* The callbacks' thread. */
    int known; /* it is in the list of that thread: */
    rs_backend_t *other;
    int active; /* callbacks that are under way */
    int waiting;
    rs_callback_t *first, *last; /* those that wait, linked by msg.next */
    int failing, full;           /* and that was said, */
    apr_time_t quiet_until;      /* which is not to be said again before */
    apr_time_t odd_until;        /* nor what it answers */
    apr_time_t swept_at;         /* its line, when that was full */
};

#define RS_CALLBACK_PHRASE 64
#define RS_CALLBACK_ID 64

struct rs_callback_t {
    rs_msg_t msg; /* first */
    rs_backend_t *backend;
    /* The callbacks' thread; it is the callee's again. */
    void (*done)(rs_callback_t *callback);
    void *baton;    /* the maker's, */
    rs_inbox_t *to; /* as this is */
    const int *unwanted; /* atomic: not 0, and it need not be made any more; NULL: it always must */
    apr_time_t since; /* its time runs from here, also while it waits */
    rs_called_t outcome;
    int status;                      /* if it was answered */
    char phrase[RS_CALLBACK_PHRASE]; /* of the status; "": none */
    char id[RS_CALLBACK_ID];         /* the same each time it is made; "": it is made once */
    int keeps;                       /* the maker wants the answer's body: */
    rs_buf_t answer;
    size_t len;
    char body[];
};

/* NULL when memory is short. */
rs_callback_t *rs_callback_create(rs_backend_t *backend, const char *body, size_t len,
                                  void (*done)(rs_callback_t *));

void rs_callback_free(rs_callback_t *callback); /* NULL: nothing */

/* Whether it need not be made again: it was taken, or is not wanted. A back end that does not
 * believe who asks (its secret is being changed, say), or says where else or later to ask, does not
 * know it yet. */
int rs_callback_is_done(const rs_callback_t *callback);

typedef struct {
    pthread_mutex_t lock;
    rs_backend_t *first; /* lock */
} rs_backends_t;

void rs_backends_open(rs_backends_t *table);
void rs_backends_close(rs_backends_t *table);

/* The one with this url, secret, ca and timeout, made if it is new; NULL when memory is short. Any
 * thread. */
rs_backend_t *rs_backends_intern(rs_backends_t *table, const rs_backend_t *wanted);

/* That which records call so, with this secret if there is one, since secrets change; NULL: there
 * is none. Any thread. */
rs_backend_t *rs_backends_of_record(rs_backends_t *table, const char *record, const char *secret);

/* What records call them, each between newlines. Any thread. */
void rs_backends_records(rs_buf_t *b, rs_backends_t *table);

#endif
