/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module itself tells readers, on every wire: one JSON object each, appended to the
 * caller's buffer. Pure functions.
 */
#ifndef RS_SAID_H
#define RS_SAID_H

#include "../base/rs_buf.h"

/* The parts that are the same for the connection's whole life. The JSON texts are ready-made
 * values. */
typedef struct {
    const char *profile;
    const char *tenant_json;
    const char *user_json;
    const char *connection; /* what it is called, for rs_said_connected(); NULL: nothing */
} rs_who_t;

/* The verdict: reason only with "reset", first (the oldest id that is there) only where it is
 * known; else NULL. */
void rs_said_connected(rs_buf_t *b, const rs_who_t *who, apr_time_t wall, const char *recovery,
                       const char *reason, const char *first);

/* The end of a replay: how many events it was. */
void rs_said_caught_up(rs_buf_t *b, const rs_who_t *who, apr_uint64_t replayed);

/* A gap in the middle of a stream. first may be NULL; who NULL: the same for all readers. */
void rs_said_reset(rs_buf_t *b, const rs_who_t *who, const char *reason, const char *first);

/* That a new token is due: for so many seconds the present one is good. connection NULL: it is
 * called nothing. */
void rs_said_challenge(rs_buf_t *b, const char *connection, int seconds);

void rs_said_heartbeat(rs_buf_t *b, const rs_who_t *who, apr_time_t wall);
void rs_said_error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                   const char *error);

#endif
