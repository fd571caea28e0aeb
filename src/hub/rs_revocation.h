/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading who is not to be let in any more: all of it when a source is (again) read; what comes
 * later is in the control stream. The hub's thread.
 */
#ifndef RS_REVOCATION_H
#define RS_REVOCATION_H

#include "../log/rs_source.h"

/* Before the thread runs. done() is called after each reading, which may have failed. */
apr_status_t rs_revocation_open(rs_source_t *source, apr_pool_t *p,
                                void (*done)(rs_source_t *source, int failed));
void rs_revocation_close(rs_source_t *source);

/* The source is read (again): what Redis has is asked for. */
void rs_revocation_up(rs_source_t *source);

/* A command about it was heard of: an answer that is under way may be of before. */
void rs_revocation_changes(rs_source_t *source);

/* Asks again what was refused, when that is due. Returns when to be called again. */
apr_time_t rs_revocation_turn(rs_source_t *source, apr_time_t now);

#endif
