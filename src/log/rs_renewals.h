/* SPDX-License-Identifier: Apache-2.0
 *
 * New tokens for open connections: the worker that was brought one tells whichever child of this
 * node has the connection, and waits for its answer. In memory that all children share, with some
 * places; each is taken, passed on and given back by one word, so nobody waits for who died. The
 * token itself never comes here: it was judged by the worker.
 */
#ifndef RS_RENEWALS_H
#define RS_RENEWALS_H

#include <sys/types.h>

#include "../proto/rs_connection_id.h"
#include "rs_revoked.h"

/* Which connection, and what its token is from now on. */
typedef struct {
    char id[RS_CONNECTION_ID_LEN];
    char tenant[RS_NAME_MAX + 1];
    char user[RS_NAME_MAX + 1]; /* "": nobody */
    char jti[RS_JTI_MAX + 1];   /* "": it has none that could be revoked */
    apr_uint64_t place;         /* the URL to which it came */
    apr_time_t exp;             /* wall clock, without any leeway; 0: never */
} rs_renewal_t;

typedef enum {
    RS_RENEWED,
    RS_RENEW_OTHER,   /* the connection is not of this URL, or not of this user */
    RS_RENEW_GONE,    /* there is no such connection */
    RS_RENEW_REVOKED, /* the new token was, meanwhile */
    RS_RENEW_LATE     /* nobody has answered; it may still be done */
} rs_renewed_t;

/* The parent. Made once in `p`, which is the process's, and kept over restarts; NULL: there is no
 * memory. */
rs_renewals_t *rs_renewals_open(apr_pool_t *p);

/* --- a worker --- */

/* Tells that child. What to wait for; 0: all places are taken. */
apr_uint64_t rs_renewals_post(rs_renewals_t *renewals, pid_t pid, const rs_renewal_t *renewal);

/* Waits so long at most, and gives the place back. */
rs_renewed_t rs_renewals_wait(rs_renewals_t *renewals, apr_uint64_t ticket,
                              apr_interval_time_t limit);

/* --- the child that has the connection --- */

/* The next one for this child; 0: there is none. *seen: how many were posted when it looked last.
 * The hub. */
int rs_renewals_take(rs_renewals_t *renewals, apr_uint32_t *seen, rs_renewal_t *renewal,
                     apr_uint64_t *ticket);

/* When the hub has to look again. Nobody can wake another process's, so it looks often as long as
 * any came lately. */
apr_time_t rs_renewals_due(rs_renewals_t *renewals, apr_time_t now);

/* The first answer counts. Any thread. */
void rs_renewals_answer(rs_renewals_t *renewals, apr_uint64_t ticket, rs_renewed_t answer);

#endif
