/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to the simulated Redis: what was sent arrives after a while and is executed, what is
 * answered arrives after a while. Pipelined commands are executed back to back, unless the run
 * says that a write may be cut in two on its way.
 */
#include <stdlib.h>

#include "redis/rs_group_script.h"
#include "sim.h"

sim_rconn_t sim_rconns[SIM_RCONNS];
int sim_rconns_used;
static long long next_client_id;

/* --- life --- */

static void free_cmds(sim_cmd_t *cmd)
{
    sim_cmd_t *next;

    for (; cmd; cmd = next) {
        next = cmd->next;
        sim_free(cmd);
    }
}

static void free_replies(sim_rrep_t *rep)
{
    sim_rrep_t *next;

    for (; rep; rep = next) {
        next = rep->next;
        freeReplyObject(rep->r);
        sim_free(rep);
    }
}

static void empty(sim_rconn_t *c)
{
    free_cmds(c->pend);
    free_cmds(c->in);
    free_cmds(c->queued);
    free_cmds(c->blocked);
    free_replies(c->out);
    free_replies(c->taken);
    c->taken = NULL;
    c->pend = c->in = c->queued = c->blocked = NULL;
    c->pend_last = &c->pend;
    c->in_last = &c->in;
    c->queued_last = &c->queued;
    c->out = NULL;
    c->out_last = &c->out;
}

void sim_rconn_reset(void)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        if (sim_rconns[i].used) {
            empty(&sim_rconns[i]);
        }
    }
    memset(sim_rconns, 0, sizeof(sim_rconns));
    sim_rconns_used = 0;
    next_client_id = 10;
}

static apr_time_t latency(void)
{
    return sim_conf.lat_us ? 1 + (apr_time_t)sim_rand(&sim_sched, (uint32_t)sim_conf.lat_us) : 0;
}

sim_rconn_t *sim_rconn_open(int engine, rs_link_t *link)
{
    sim_rconn_t *c;
    int i;

    for (i = 0; i < SIM_RCONNS && sim_rconns[i].used; i++) {
    }
    if (i < SIM_RCONNS && i >= sim_rconns_used) {
        sim_rconns_used = i + 1;
    }
    if (i == SIM_RCONNS) {
        sim_fail("connections", "too many connections to Redis");
        i = 0;
    }
    c = &sim_rconns[i];
    memset(c, 0, sizeof(*c));
    empty(c);
    c->used = 1;
    c->engine = engine;
    c->link = link;
    c->id = next_client_id++;
    c->ready_at = sim_now + 2 * latency();
    if (sim_now < sim_redis.down_until || sim_engines[engine].gone) {
        c->broken = !sim_redis.hangs || sim_engines[engine].gone;
        c->broken_at = c->ready_at;
        c->ready_at = c->broken ? c->ready_at : SIM_NEVER;
    }
    return c;
}

static void break_conn(sim_rconn_t *c)
{
    int i = (int)(c - sim_rconns), k;

    c->broken = 1;
    memset(sim_engines[c->engine].hand_hi, 0, sizeof(sim_engines[c->engine].hand_hi));
    c->broken_at = sim_now;
    free_cmds(c->in);
    c->in = NULL;
    c->in_last = &c->in;
    free_cmds(c->blocked);
    c->blocked = NULL;
    for (k = 0; k < SIM_KEYS; k++) {
        sim_keys[k].tracked &= ~((uint64_t)1 << i);
    }
}

void sim_rconn_close(sim_rconn_t *c)
{
    sim_unlearn(c);
    break_conn(c);
    empty(c);
    c->used = 0;
}

/* Each reply that is on its way is lost, with those behind it, by chance. */
void sim_rconn_cut(int engine, int lose)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        sim_rconn_t *c = &sim_rconns[i];
        sim_rrep_t **link;

        if (!c->used || c->broken || (engine >= 0 && c->engine != engine)) {
            continue;
        }
        for (link = &c->out; *link && (int)sim_rand(&sim_sched, 8) >= lose; link = &(*link)->next) {
        }
        free_replies(*link);
        *link = NULL;
        c->out_last = link;
        break_conn(c);
    }
    sim_stats[SIM_S_CUTS]++;
    sim_model_trouble(sim_now);
}

/* --- from the engine --- */

int sim_rconn_append(sim_rconn_t *c, int argc, const char **argv)
{
    size_t size = sizeof(sim_cmd_t) + (size_t)argc * sizeof(char *), at = size;
    sim_cmd_t *cmd;
    int i;

    for (i = 0; i < argc; i++) {
        size += argv[i] == rs_group_script ? 0 : strlen(argv[i]) + 1;
    }
    cmd = sim_malloc(size);
    cmd->next = NULL;
    cmd->argc = argc;
    for (i = 0; i < argc; i++) {
        size_t n = strlen(argv[i]) + 1;

        if (argv[i] == rs_group_script) {
            cmd->argv[i] = argv[i];
            continue;
        }
        cmd->argv[i] = memcpy((char *)cmd + at, argv[i], n);
        at += n;
    }
    *c->pend_last = cmd;
    c->pend_last = &cmd->next;
    return 1;
}

void sim_rconn_send(sim_rconn_t *c)
{
    apr_time_t at = sim_now + latency();
    sim_cmd_t *cmd = c->pend;

    at = at < c->last_in ? c->last_in : at;
    c->pend = NULL;
    c->pend_last = &c->pend;
    if (c->broken) {
        free_cmds(cmd);
        return;
    }
    *c->in_last = cmd;
    for (; cmd; cmd = cmd->next) {
        cmd->at = at;
        cmd->more = cmd->next != NULL;
        c->in_last = &cmd->next;
        if (sim_conf.split && sim_rand(&sim_sched, 4) == 0) {
            at += latency();
        }
    }
    c->last_in = at;
}

int sim_rconn_has(const sim_rconn_t *c)
{
    return c->out ? sim_now >= c->out->at : c->broken && sim_now >= c->broken_at;
}

redisReply *sim_rconn_take(sim_rconn_t *c)
{
    sim_rrep_t *rep = c->out;
    redisReply *r;

    if (!rep || sim_now < rep->at) {
        return NULL;
    }
    c->out = rep->next;
    if (!c->out) {
        c->out_last = &c->out;
    }
    r = rep->r;
    rep->r = NULL;
    sim_learn(c, rep);
    return r;
}

static void send_reply(sim_rconn_t *c, sim_rrep_t *rep)
{
    rep->at = sim_now + latency();
    if (rep->at < c->last_out) {
        rep->at = c->last_out;
    }
    c->last_out = rep->at;
    *c->out_last = rep;
    c->out_last = &rep->next;
}

/* --- execution --- */

int sim_rconn_due(const sim_rconn_t *c)
{
    if (!c->used || c->broken || sim_now < sim_redis.paused_until) {
        return 0;
    }
    return c->blocked ? sim_now >= c->blocked_until : c->in && sim_now >= c->in->at;
}

apr_time_t sim_rconn_next(const sim_rconn_t *c)
{
    apr_time_t at = c->blocked ? c->blocked_until : c->in ? c->in->at : SIM_NEVER;

    return !c->used || c->broken         ? SIM_NEVER
           : at < sim_redis.paused_until ? sim_redis.paused_until
                                         : at;
}

static void answer(sim_rconn_t *c, redisReply *r)
{
    sim_noting->r = r;
    send_reply(c, sim_noting);
    sim_noting = NULL;
}

static void exec(sim_rconn_t *c)
{
    sim_cmd_t *cmd;
    redisReply *all;
    size_t n = 0;

    for (cmd = c->queued; cmd; cmd = cmd->next) {
        n++;
    }
    all = sim_reply_array(n);
    for (n = 0, cmd = c->queued; cmd; cmd = cmd->next) {
        sim_stats[SIM_S_COMMANDS]++;
        all->element[n++] = sim_command_run(c, cmd);
    }
    free_cmds(c->queued);
    c->queued = NULL;
    c->queued_last = &c->queued;
    c->in_multi = 0;
    answer(c, all);
}

static void one(sim_rconn_t *c, sim_cmd_t *cmd)
{
    redisReply *r;

    sim_redis.commands++;
    sim_stats[SIM_S_COMMANDS]++;
    sim_engines[c->engine].commands_second++;
    sim_noting = sim_new_reply();
    sim_noting->more = cmd->more;
    if (strcmp(cmd->argv[0], "EXEC") == 0 && c->in_multi) {
        exec(c);
    }
    else if (c->in_multi) {
        *c->queued_last = cmd;
        c->queued_last = &cmd->next;
        answer(c, sim_reply_text(REDIS_REPLY_STATUS, "QUEUED", 6));
        return;
    }
    else if (strcmp(cmd->argv[0], "MULTI") == 0) {
        c->in_multi = 1;
        answer(c, sim_reply_text(REDIS_REPLY_STATUS, "OK", 2));
    }
    else if ((r = sim_command_run(c, cmd))) {
        answer(c, r);
    }
    else {
        sim_free(sim_noting);
        sim_noting = NULL;
        return; /* c->blocked has it */
    }
    free_cmds(cmd);
}

static void unblock(sim_rconn_t *c, redisReply *r)
{
    free_cmds(c->blocked);
    c->blocked = NULL;
    answer(c, r);
}

void sim_rconn_execute(sim_rconn_t *c)
{
    if (c->blocked) {
        sim_noting = sim_new_reply();
        unblock(c, sim_reply(REDIS_REPLY_NIL));
        return;
    }
    while (c->in && sim_now >= c->in->at && !c->blocked && !c->broken) {
        sim_cmd_t *cmd = c->in;

        c->in = cmd->next;
        if (!c->in) {
            c->in_last = &c->in;
        }
        cmd->next = NULL;
        one(c, cmd);
    }
}

/* --- what changes do --- */

void sim_rconn_wake(int k)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        sim_rconn_t *c = &sim_rconns[i];
        redisReply *r;

        if (c->used && c->blocked && !sim_keys[k].is_string) {
            sim_noting = sim_new_reply();
            r = sim_xread_now(c, c->blocked, k);
            if (r) {
                unblock(c, r);
            }
            else {
                sim_free(sim_noting);
                sim_noting = NULL;
            }
        }
    }
}

static void tell(sim_rconn_t *ear, const char *key)
{
    redisReply *r = sim_reply_array(3);
    sim_rrep_t *rep = sim_new_reply();

    r->element[0] = sim_reply_text(REDIS_REPLY_STRING, "message", 7);
    r->element[1] = sim_reply_text(REDIS_REPLY_STRING, "__redis__:invalidate", 20);
    r->element[2] = key ? sim_reply_array(1) : sim_reply(REDIS_REPLY_NIL);
    if (key) {
        r->element[2]->element[0] = sim_reply_text(REDIS_REPLY_STRING, key, strlen(key));
    }
    rep->r = r;
    send_reply(ear, rep);
}

void sim_rconn_invalidate(int k)
{
    int i, j;

    for (i = 0; i < sim_rconns_used; i++) {
        const sim_rconn_t *c = &sim_rconns[i];

        if (!c->used || !c->tracking || c->broken
            || (k >= 0 && !(sim_keys[k].tracked & ((uint64_t)1 << i)))) {
            continue;
        }
        for (j = 0; j < sim_rconns_used; j++) {
            if (sim_rconns[j].used && !sim_rconns[j].broken && sim_rconns[j].id == c->redirect) {
                tell(&sim_rconns[j], k >= 0 ? sim_keys[k].name : NULL);
            }
        }
    }
    for (i = 0; i < SIM_KEYS; i++) {
        sim_keys[i].tracked = i == k || k < 0 ? 0 : sim_keys[i].tracked;
    }
}
