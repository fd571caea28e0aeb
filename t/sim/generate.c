/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens, by chance. Each run has some kinds of trouble and lacks others, so that what one
 * of them hides is seen in the runs without it.
 */
#include "sim.h"

/* How often each happens, in a run that has it; and of how many runs one has it (1: each). */
static const struct {
    int op, weight, rare;
} kinds[] = {
    {SIM_ADD, 60, 1},   {SIM_MULTI, 10, 2},   {SIM_TRIM, 5, 2},     {SIM_MINID, 2, 4},
    {SIM_XDEL, 6, 3},   {SIM_DEL, 1, 4},      {SIM_SETSTR, 1, 8},   {SIM_SETID, 1, 6},
    {SIM_COPY, 2, 3},   {SIM_RESTORE, 1, 3},  {SIM_SNAP, 2, 3},     {SIM_FAIL, 1, 3},
    {SIM_FLUSH, 1, 20}, {SIM_HASHSTR, 1, 16}, {SIM_CONNECT, 25, 1}, {SIM_LEAVE, 12, 1},
    {SIM_LAG, 10, 2},    {SIM_READ, 6, 1},     {SIM_CUT, 3, 3},      {SIM_AWAY, 1, 4},
    {SIM_PAUSE, 2, 4},  {SIM_ERR, 1, 6},      {SIM_NOPERM, 1, 12},  {SIM_KILL, 1, 3},
    {SIM_START, 2, 1},  {SIM_DRAIN, 1, 4},    {SIM_WAIT, 25, 1},    {SIM_TURNS, 4, 1},
    {SIM_SETTLE, 1, 3},
};

static int weights[RS_ARRAY_LEN(kinds)], total;
static int big, bursts; /* this run has large entries; many at once */

static int pick(sim_rng_t *r, int n) { return (int)sim_rand(r, (uint32_t)n); }

static int one_of(sim_rng_t *r, const int *values, int n) { return values[pick(r, n)]; }

#define ONE_OF(r, ...)                                                                             \
    one_of(r, (const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

static int some_streams(sim_rng_t *r, int of)
{
    int mask = 0, n = ONE_OF(r, 1, 1, 1, 2, 3), i;

    for (i = 0; i < 12 && __builtin_popcount((unsigned)mask) < n; i++) {
        mask |= of & 1 << pick(r, SIM_STREAMS);
    }
    return mask ? mask : of & -of;
}

void sim_generate_conf(sim_rng_t *r, sim_conf_t *conf)
{
    int i;

    sim_conf_default(conf);
    conf->engines = ONE_OF(r, 1, 1, 2);
    conf->streamers = ONE_OF(r, 1, 1, 2);
    conf->streams = ONE_OF(r, 1, 1, 3, 7, 9, 16, 48, 17, 63);
    conf->tenants = ONE_OF(r, 1, 2, 3, 4);
    conf->clients = ONE_OF(r, 1, 2, 4, 6, 10);
    conf->profiles = ONE_OF(r, 1, 1, 2, 4);
    conf->cache_kb = ONE_OF(r, 4, 16, 64, 256, 4096, 4096);
    conf->max_message = ONE_OF(r, 2048, 65536, 65536);
    conf->batch = ONE_OF(r, 4, 64, 512, 512);
    conf->block_ms = ONE_OF(r, 200, 2000, 2000, 15000);
    conf->drain_ms = ONE_OF(r, 100, 2000, 10000);
    conf->lat_us = ONE_OF(r, 50, 200, 2000, 50000);
    if (conf->lat_us > 2000 && conf->batch < 64) {
        conf->batch = 64; /* a far Redis takes two round trips for each batch */
    }
    conf->split = pick(r, 4) == 0;
    conf->empty_wakes = pick(r, 4) != 0;
    conf->partial = ONE_OF(r, 0, 0, 20, 4);
    conf->room_kb = ONE_OF(r, 1, 4, 16, 64);
    conf->preempt = ONE_OF(r, 0, 0, 16, 3);
    conf->redis6 = pick(r, 12) == 0;
    conf->unlocks = pick(r, 6) == 0;
    for (i = 0; i < SIM_PROFILES; i++) {
        int shared = conf->streams & 15, own = conf->streams & 48;

        conf->pmask[i] = some_streams(r, !own || (shared && pick(r, 2)) ? shared : own);
        conf->plast[i] = ONE_OF(r, 0, 0, 0, 5, 1000000);
        conf->pgroup[i] = pick(r, 6) == 0;
        conf->plast[i] = conf->pgroup[i] ? 0 : conf->plast[i];
        conf->plimit[i] = ONE_OF(r, 10, 100, 10000, 10000);
        conf->pslow[i] = pick(r, 6) == 0;
        conf->pbeat_ms[i] = ONE_OF(r, 1000, 5000, 30000);
        conf->pstall_ms[i] = ONE_OF(r, 20000, 60000);
    }
    for (i = 0; i < SIM_CLIENTS; i++) {
        conf->cten[i] = pick(r, conf->tenants);
        conf->cprof[i] = pick(r, conf->profiles);
    }
}

void sim_generate_reset(sim_rng_t *r)
{
    size_t i;

    total = 0;
    for (i = 0; i < RS_ARRAY_LEN(kinds); i++) {
        weights[i] = pick(r, kinds[i].rare) == 0 ? kinds[i].weight : 0;
        total += weights[i];
    }
    big = pick(r, 10) == 0;
    bursts = pick(r, 2) == 0;
}

/* A key that is read in this run. */
static int some_key(sim_rng_t *r)
{
    int s;

    do {
        s = pick(r, SIM_STREAMS);
    } while (!(sim_conf.streams & 1 << s));
    return s < SIM_OWN ? s : SIM_OWN + 2 * pick(r, sim_conf.tenants) + s - SIM_OWN;
}

static int some_size(sim_rng_t *r)
{
    return big && pick(r, 4) == 0 ? ONE_OF(r, 5000, 60000, 300000, 1000000)
                                  : ONE_OF(r, 40, 60, 300, 300, 3000);
}

static int some_wait(sim_rng_t *r)
{
    return ONE_OF(r, 1, 5, 20, 50, 200, 500, 1000, 1200, 2500, 6000, 35000);
}

static void fill_write(sim_rng_t *r, sim_action_t *a)
{
    a->a = some_key(r);
    a->b = pick(r, sim_conf.tenants);
    switch (a->op) {
    case SIM_ADD:
        a->c = some_size(r);
        a->d = a->c > 3000 ? 1 : bursts ? ONE_OF(r, 1, 1, 1, 5, 20, 600) : ONE_OF(r, 1, 1, 2, 5);
        break;
    case SIM_MULTI:
        a->c = ONE_OF(r, 1, 2, 5, 50);
        a->d = pick(r, 8);
        break;
    case SIM_TRIM:
        a->b = ONE_OF(r, 0, 1, 3, 10, 100);
        break;
    case SIM_MINID:
        a->b = ONE_OF(r, 1, 3, 10);
        break;
    case SIM_XDEL:
        a->b = ONE_OF(r, 0, -1, -1, 1, 7, -3);
        break;
    case SIM_SETID:
        a->b = ONE_OF(r, 1, 1000);
        break;
    default:
        a->b = pick(r, 2);
        break;
    }
}

static int some_id(sim_rng_t *r)
{
    int n = pick(r, 40);

    return n < 24 ? 1 : n < 28 ? 0 : n < 34 ? 2 + pick(r, 12) : n < 36 ? 54 : 50 + n - 36;
}

void sim_generate(sim_rng_t *r, sim_action_t *a)
{
    int at = pick(r, total);
    size_t i;

    memset(a, 0, sizeof(*a));
    for (i = 0; at >= weights[i]; i++) {
        at -= weights[i];
    }
    a->op = kinds[i].op;
    a->turns = ONE_OF(r, -1, -1, 0, 1, 3);
    if (a->op <= SIM_HASHSTR) {
        fill_write(r, a);
    }
    switch (a->op) {
    case SIM_CONNECT:
        a->a = pick(r, sim_conf.clients);
        a->b = pick(r, sim_conf.engines);
        a->c = some_id(r);
        break;
    case SIM_LEAVE:
        a->a = pick(r, sim_conf.clients);
        a->b = pick(r, 9);
        break;
    case SIM_LAG:
    case SIM_READ:
        a->a = pick(r, sim_conf.clients);
        break;
    case SIM_CUT:
        a->a = pick(r, sim_conf.engines + 1) - 1;
        a->b = ONE_OF(r, 0, 4, 8);
        break;
    case SIM_AWAY:
    case SIM_PAUSE:
        a->a = ONE_OF(r, 50, 500, 3000, 8000);
        a->b = pick(r, 3) == 0;
        break;
    case SIM_ERR:
        a->a = pick(r, 5);
        a->b = ONE_OF(r, 50, 500, 3000);
        break;
    case SIM_NOPERM:
        a->a = some_key(r);
        a->b = ONE_OF(r, 50, 500, 3000);
        break;
    case SIM_KILL:
    case SIM_START:
    case SIM_DRAIN:
        a->a = pick(r, sim_conf.engines);
        break;
    case SIM_WAIT:
        a->a = some_wait(r);
        break;
    case SIM_TURNS:
        a->turns = 1 + pick(r, 20);
        break;
    default:
        break;
    }
    a->salt = (uint32_t)(sim_rand(r, 1u << 31));
}
