/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens in the world, as lines of text: a history can be read, shortened, kept and replayed.
 *
 *     conf NAME VALUE ...
 *     OP A B C D TURNS SALT
 *
 * TURNS: how many turns of anybody follow at this moment, -1 for as many as there are. SALT: what
 * chance makes of this step; so the others stay as they are when one is left out.
 */
#include <ctype.h>
#include <stdlib.h>

#include "sim.h"

const char *const sim_op_names[SIM_OPS] = {
    "add",   "multi",   "trim", "minid", "xdel",   "del",     "setstr",  "setid",
    "copy",  "restore", "snap", "fail",  "flush",  "hashstr", "connect", "leave",
    "lag",   "read",    "cut",  "away",  "pause",  "error",   "noperm",  "kill",
    "start", "drain",   "wait", "turns", "settle",
};

/* --- configuration --- */

#define SCALARS(X)                                                                                 \
    X(engines)                                                                                     \
    X(streamers)                                                                                   \
    X(streams)                                                                                     \
    X(tenants)                                                                                     \
    X(clients)                                                                                     \
    X(profiles)                                                                                    \
    X(cache_kb)                                                                                    \
    X(max_message)                                                                                 \
    X(batch)                                                                                       \
    X(block_ms)                                                                                    \
    X(drain_ms)                                                                                    \
    X(lat_us) X(split) X(empty_wakes) X(partial) X(room_kb) X(preempt) X(unlocks) X(redis6)
#define LISTS(X)                                                                                   \
    X(pmask, SIM_PROFILES)                                                                         \
    X(plast, SIM_PROFILES)                                                                         \
    X(pgroup, SIM_PROFILES)                                                                        \
    X(plimit, SIM_PROFILES)                                                                        \
    X(pslow, SIM_PROFILES)                                                                         \
    X(pbeat_ms, SIM_PROFILES) X(pstall_ms, SIM_PROFILES) X(cten, SIM_CLIENTS) X(cprof, SIM_CLIENTS)

typedef struct {
    const char *name;
    size_t offset;
    int n;
} item_t;

#define SCALAR(name) {#name, offsetof(sim_conf_t, name), 1},
#define LIST(name, n) {#name, offsetof(sim_conf_t, name), n},
static const item_t items[] = {SCALARS(SCALAR) LISTS(LIST)};

static int *value_of(const sim_conf_t *conf, const item_t *item)
{
    return (int *)((char *)conf + item->offset);
}

/* What a history written by hand need not say. */
void sim_conf_default(sim_conf_t *conf)
{
    int i;

    memset(conf, 0, sizeof(*conf));
    conf->engines = conf->streamers = conf->streams = conf->profiles = 1;
    conf->tenants = 2;
    conf->clients = 4;
    conf->cache_kb = 4096;
    conf->max_message = 65536;
    conf->batch = 512;
    conf->block_ms = conf->drain_ms = 2000;
    conf->lat_us = 200;
    conf->room_kb = 64;
    conf->empty_wakes = 1;
    for (i = 0; i < SIM_PROFILES; i++) {
        conf->pmask[i] = 1;
        conf->plimit[i] = 10000;
        conf->pbeat_ms[i] = 5000;
        conf->pstall_ms[i] = 60000;
    }
}

void sim_conf_print(FILE *f, const sim_conf_t *conf)
{
    size_t i;
    int k;

    for (i = 0; i < RS_ARRAY_LEN(items); i++) {
        fprintf(f, "conf %s", items[i].name);
        for (k = 0; k < items[i].n; k++) {
            fprintf(f, " %d", value_of(conf, &items[i])[k]);
        }
        fputc('\n', f);
    }
}

int sim_conf_parse(const char *line, sim_conf_t *conf)
{
    char name[32];
    int used = 0, k;
    size_t i;

    if (sscanf(line, "conf %31s%n", name, &used) != 1) {
        return 0;
    }
    for (i = 0; i < RS_ARRAY_LEN(items) && strcmp(items[i].name, name) != 0; i++) {
    }
    if (i == RS_ARRAY_LEN(items)) {
        return 0;
    }
    for (k = 0; k < items[i].n; k++) {
        int more = 0;

        if (sscanf(line + used, " %d%n", &value_of(conf, &items[i])[k], &more) != 1) {
            return k > 0;
        }
        used += more;
    }
    return 1;
}

/* --- actions --- */

void sim_action_print(FILE *f, const sim_action_t *a)
{
    fprintf(f, "%-8s %d %d %d %d  %d %u\n", sim_op_names[a->op], a->a, a->b, a->c, a->d, a->turns,
            a->salt);
}

int sim_action_parse(const char *line, sim_action_t *a)
{
    char name[16];
    int n;

    memset(a, 0, sizeof(*a));
    a->turns = -1;
    n = sscanf(line, "%15s %d %d %d %d %d %u", name, &a->a, &a->b, &a->c, &a->d, &a->turns,
               &a->salt);
    if (n < 1) {
        return 0;
    }
    for (a->op = 0; a->op < SIM_OPS && strcmp(sim_op_names[a->op], name) != 0; a->op++) {
    }
    return a->op < SIM_OPS;
}

/* n entries, and what else is done to the key, at once. */
static void multi(const sim_action_t *a)
{
    int i;

    sim_redis_multi(1);
    for (i = 0; i < a->c; i++) {
        sim_redis_add(a->a, a->b, 60);
    }
    switch (a->d) {
    case 1:
        sim_redis_trim(a->a, 0);
        break;
    case 2:
        sim_redis_trim(a->a, 3);
        break;
    case 3:
        for (i = 0; i < a->c; i++) {
            sim_redis_xdel(a->a, -1);
        }
        break;
    case 4:
        sim_redis_del(a->a);
        break;
    case 5:
        sim_redis_del(a->a);
        sim_redis_add(a->a, a->b, 60);
        break;
    case 6:
        sim_redis_trim(a->a, 10);
        break;
    case 7:
        sim_redis_xdel(a->a, -1);
        break;
    default:
        break;
    }
    sim_redis_multi(0);
}

static void do_error(const sim_action_t *a)
{
    static const char *const errors[] = {
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOPERM this user has no permissions to run the 'xread' command",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    };
    int which = a->a % (int)RS_ARRAY_LEN(errors), k;

    strcpy(sim_redis.error, errors[which]);
    sim_redis.error_writes = which == 1 || which == 3;
    sim_redis.error_until = sim_now + MSEC(a->b);
    sim_model_trouble(sim_redis.error_until);
    for (k = 0; which == 2 && k < SIM_KEYS; k++) {
        sim_redis_bar(k, sim_redis.error_until);
    }
}

static void to_redis(const sim_action_t *a)
{
    int i;

    switch (a->op) {
    case SIM_ADD:
        for (i = 0; i < a->d; i++) {
            sim_redis_add(a->a, a->b, a->c);
        }
        break;
    case SIM_MULTI:
        multi(a);
        break;
    case SIM_TRIM:
        sim_redis_trim(a->a, a->b);
        break;
    case SIM_MINID:
        sim_redis_minid(a->a, a->b);
        break;
    case SIM_XDEL:
        sim_redis_xdel(a->a, a->b);
        break;
    case SIM_DEL:
        sim_redis_del(a->a);
        break;
    case SIM_SETSTR:
        sim_redis_set_string(a->a);
        break;
    case SIM_SETID:
        sim_redis_setid(a->a, a->b);
        break;
    case SIM_COPY:
        sim_redis_copy(a->a);
        break;
    case SIM_RESTORE:
        sim_redis_restore(a->a);
        break;
    case SIM_SNAP:
        sim_redis_snapshot();
        break;
    case SIM_FAIL:
        sim_redis_failover();
        break;
    case SIM_FLUSH:
        sim_redis_flush();
        break;
    case SIM_HASHSTR:
        sim_redis_set_hash_string(a->a, a->b);
        sim_model_trouble(sim_now);
        break;
    default:
        break;
    }
}

static void to_world(const sim_action_t *a)
{
    switch (a->op) {
    case SIM_CONNECT:
        sim_client_connect(a->a, a->b, a->c);
        break;
    case SIM_LEAVE:
        sim_client_leave(a->a, a->b);
        break;
    case SIM_LAG:
        sim_client_lag(a->a, 1);
        break;
    case SIM_READ:
        sim_client_lag(a->a, 0);
        break;
    case SIM_CUT:
        sim_rconn_cut(a->a, a->b);
        break;
    case SIM_AWAY:
        sim_redis.down_until = sim_now + MSEC(a->a);
        sim_redis.hangs = a->b;
        sim_rconn_cut(-1, 4);
        sim_model_trouble(sim_redis.down_until);
        break;
    case SIM_PAUSE:
        sim_redis.paused_until = sim_now + MSEC(a->a);
        sim_model_trouble(sim_redis.paused_until);
        break;
    case SIM_ERR:
        do_error(a);
        break;
    case SIM_NOPERM:
        sim_redis_bar(a->a, sim_now + MSEC(a->b));
        break;
    case SIM_KILL:
        sim_engine_kill(a->a);
        break;
    case SIM_START:
        sim_engine_start(a->a);
        break;
    case SIM_DRAIN:
        sim_engine_drain(a->a);
        break;
    case SIM_WAIT:
        sim_world_wait(sim_now + MSEC(a->a));
        break;
    case SIM_SETTLE:
        sim_world_settle();
        break;
    default:
        break;
    }
}

static int sensible(const sim_action_t *a)
{
    int key = a->op <= SIM_RESTORE || a->op == SIM_HASHSTR || a->op == SIM_NOPERM;
    int client =
        a->op == SIM_CONNECT || a->op == SIM_LEAVE || a->op == SIM_LAG || a->op == SIM_READ;
    int engine = a->op == SIM_KILL || a->op == SIM_START || a->op == SIM_DRAIN;

    return (!key || (a->a >= 0 && a->a < SIM_KEYS))
           && (!client || (a->a >= 0 && a->a < sim_conf.clients))
           && (!engine || (a->a >= 0 && a->a < sim_conf.engines))
           && (a->op != SIM_CONNECT || (a->b >= 0 && a->b < sim_conf.engines));
}

void sim_action_do(const sim_action_t *a)
{
    if (!sensible(a)) {
        return;
    }
    if (sim_verbose) {
        printf("# %9.4f  ", (double)(sim_now - SEC(1000)) / 1e6);
        sim_action_print(stdout, a);
    }
    sim_sched.x = sim_mix(a->salt) | 1;
    sim_stats[SIM_S_ACTIONS]++;
    to_redis(a);
    to_world(a);
    if (a->turns) {
        sim_world_turns(a->turns);
    }
}
