/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to the simulated Redis, what is on its way on them, and what makes its replies.
 */
#ifndef SIM_CONNECTION_H
#define SIM_CONNECTION_H

#include <hiredis/hiredis.h>

#include "engine/rs_engine.h"

#define SIM_RCONNS 48

typedef struct sim_cmd_t sim_cmd_t;
struct sim_cmd_t {
    sim_cmd_t *next;
    apr_time_t at;
    int argc;
    int more; /* others were sent with it, behind it */
    const char *argv[];
};

/* Entries that were read, and what XINFO said afterwards, by the one who follows the key. */
typedef struct {
    int n, lo, hi; /* lo to hi - 1 of all[] */
    long removals; /* that there had been */
    rs_id_t last;
} sim_hand_t;

typedef struct {
    int is;
    uint32_t epoch;
    int nall, length;
    long removals;
    long long added;
    rs_id_t last, deleted, first;
} sim_look_t;

typedef struct sim_rrep_t sim_rrep_t;
struct sim_rrep_t {
    sim_rrep_t *next;
    apr_time_t at;
    redisReply *r;
    int more;   /* it counts together with the next one, if that comes */
    int nnotes; /* what the engine learns from it */
    struct {
        int key, lo, hi; /* entries: lo to hi - 1 of all[] */
        int info;
        long removals; /* that there had been */
        rs_id_t last;
        uint32_t epoch;
        sim_hand_t hand;
        sim_look_t look;
    } note[8];
};

typedef struct {
    int used, engine, broken, slow_login;
    rs_link_t *link;
    long long id;
    apr_time_t ready_at, broken_at;
    sim_cmd_t *pend, **pend_last, *in, **in_last, *queued, **queued_last;
    sim_rrep_t *out, **out_last;
    sim_rrep_t *taken; /* of a look of which not all has come */
    apr_time_t last_in, last_out;
    int in_multi, subscribed, tracking;
    int follows; /* it reads on, or is told of changes; or will, as the one before it did */
    long long redirect;
    sim_cmd_t *blocked;
    apr_time_t blocked_until;
} sim_rconn_t;

extern sim_rconn_t sim_rconns[SIM_RCONNS];
extern int sim_rconns_used; /* none beyond is in use */
sim_rconn_t *sim_rconn_open(int engine, rs_link_t *link);
void sim_rconn_close(sim_rconn_t *c);
int sim_rconn_append(sim_rconn_t *c, int argc, const char **argv);
void sim_rconn_send(sim_rconn_t *c);
redisReply *sim_rconn_take(sim_rconn_t *c);
int sim_rconn_has(const sim_rconn_t *c); /* something to read, or its end */
int sim_rconn_due(const sim_rconn_t *c); /* something to execute */
apr_time_t sim_rconn_next(const sim_rconn_t *c);
void sim_rconn_execute(sim_rconn_t *c);
void sim_rconn_wake(int k);
void sim_rconn_invalidate(int k);         /* negative: all keys */
void sim_rconn_cut(int engine, int lose); /* engine negative: all; lose: of 8 replies */
void sim_rconn_reset(void);

/* --- command.c --- */
redisReply *sim_command_run(sim_rconn_t *c, sim_cmd_t *cmd);
redisReply *sim_xread_now(sim_rconn_t *c, const sim_cmd_t *cmd, int only);

/* --- group.c --- */
redisReply *sim_group_eval(const sim_cmd_t *cmd);

/* --- learn.c --- */
extern sim_rrep_t *sim_noting; /* the reply that is being made */
sim_rrep_t *sim_new_reply(void);
void sim_note(int k, int lo, int hi, int info, rs_id_t last);
void sim_note_look(const sim_rconn_t *c, int k);
void sim_note_hand(int k, int n);
void sim_learn(sim_rconn_t *c, sim_rrep_t *rep);
void sim_unlearn(const sim_rconn_t *c);

#endif
