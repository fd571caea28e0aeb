/* SPDX-License-Identifier: Apache-2.0
 *
 * The model from inside: model.c has the rules and each frame, the others what those need.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "sim.h"

#define TOLD_MARGIN SEC(8) /* what was told may have been found out so long before */

/* --- cause.c --- */
void sim_trouble_reset(void);
int sim_well(apr_time_t since);
int sim_disturbed_since(const sim_conn_t *c, apr_time_t t);
int sim_removed_since(const sim_conn_t *c, apr_time_t t);
int sim_is_beyond(const sim_conn_t *c, int both);
int sim_above(const sim_conn_t *c, const int *next);
int sim_knows_lost(const sim_conn_t *c, const sim_entry_t *e);
void sim_check_lost(const sim_conn_t *c);
void sim_check_cause(sim_conn_t *c, const char *reason);
int sim_may_be_reset(const sim_conn_t *c, const char *reason, const rs_id_t *at);
int sim_was_string_since(const sim_conn_t *c, apr_time_t t);

/* --- owed.c --- */
const char *sim_id_text(rs_id_t id);
int sim_is_owed(const sim_conn_t *c, int k, const sim_entry_t *e);
void sim_pass(sim_conn_t *c, int k, int to, const char *class);
void sim_pass_put_back(sim_conn_t *c, int k, rs_id_t to);
void sim_raise_position(sim_conn_t *c, const rs_id_t *pos);
void sim_stand_at(sim_conn_t *c, const rs_id_t *pos);
void sim_told(sim_conn_t *c);
void sim_check_debt(const sim_conn_t *c);

/* --- backlog.c --- */
void sim_backlog_reset(void);
/* Where it is is not known any more. */
void sim_backlog_close(const sim_conn_t *c);
void sim_backlog_starts(sim_conn_t *c);
void sim_backlog_raise(const sim_conn_t *c);
void sim_backlog_brings(const sim_conn_t *c);
void sim_backlog_settles(const sim_conn_t *c);
void sim_backlog_unknown(const sim_conn_t *c);
void sim_backlog_leaves(const sim_conn_t *c);
void sim_backlog_comes(sim_conn_t *c);
void sim_backlog_follows(const sim_conn_t *c);

/* --- deadline.c --- */
/* Whether somebody is being given what it missed, and may be: nothing is in its way since then. */
int sim_model_gives(apr_time_t since);
/* So many commands may the engine have in the second that is over, if it was quiet. */
long sim_model_affords(int engine);

/* --- verdict.c --- */
int sim_json_word(const sim_frame_t *f, const char *name, char *to, size_t size);
void sim_connected(sim_conn_t *c, const sim_frame_t *f);

#endif
