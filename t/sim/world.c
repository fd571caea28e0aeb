/* SPDX-License-Identifier: Apache-2.0
 *
 * Engines, and whose turn it is: of those who have something to do at this moment one is chosen by
 * chance; when nobody has, the clock moves on to the next deadline.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "base/rs_log.h"
#include "redis/rs_redis_url.h"
#include "model.h"

#define SPIN 3000      /* turns of one thread at one moment */
#define SETTLE SEC(20) /* after which everybody has everything */

sim_conf_t sim_conf;
sim_engine_t sim_engines[SIM_ENGINES];
int sim_quiet, sim_failed, sim_verbose, sim_fault;
char sim_fail_class[32], sim_fail_text[1024];
long sim_stats[SIM_S_MAX];
static int depth;

const char *sim_tenant(int t)
{
    static const char *const names[SIM_TENANTS] = {"t0", "t1", "t2", "t3"};

    return names[t];
}

const char *sim_stream_key(int s)
{
    static const char *const names[SIM_STREAMS] = {
        "k0", "k1", "k2", "k3lit", "own:{tenant}:a", "own:{tenant}:b"};

    return names[s];
}

void sim_trace(const char *fmt, ...)
{
    va_list ap;

    printf("# %9.4f  ", (double)(sim_now - SEC(1000)) / 1e6);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

void sim_fail(const char *class, const char *fmt, ...)
{
    va_list ap;

    if (sim_failed) {
        return;
    }
    sim_failed = 1;
    snprintf(sim_fail_class, sizeof(sim_fail_class), "%s", class);
    va_start(ap, fmt);
    vsnprintf(sim_fail_text, sizeof(sim_fail_text), fmt, ap);
    va_end(ap);
    TRACE("FAIL %s: %s", class, sim_fail_text);
}

/* --- engines --- */

static void add_streams(sim_engine_t *e, const rs_redis_url_t *url)
{
    rs_stream_params_t streams[SIM_STREAMS];
    int s, n = 0;

    memset(streams, 0, sizeof(streams));
    for (s = 0; s < SIM_STREAMS; s++) {
        if (sim_conf.streams & 1 << s) {
            rs_stream_params_t *p = &streams[n++];

            p->name = p->key = sim_stream_key(s);
            p->tenant_field = "tenant_id";
            p->tenant_literal = s == 3 ? sim_tenant(0) : NULL;
            p->type_field = "event_type";
            p->data_field = "payload";
            p->user_field = "user_id";
        }
    }
    if (rs_engine_add_source(&e->source, e->engine, e->pool, url, sim_conf.batch,
                             MSEC(sim_conf.block_ms), RS_OBEYS_NOBODY, NULL, streams, n)
        != APR_SUCCESS) {
        sim_fail("sim", "no source");
    }
}

static void actor_begin(sim_actor_t *a, int engine, int streamer, rs_poll_t *poll)
{
    memset(a, 0, sizeof(*a));
    a->engine = engine;
    a->streamer = streamer;
    a->poll = poll;
    poll->actor = a;
    poll->deadline = sim_now;
}

void sim_engine_start(int n)
{
    sim_engine_t *e = &sim_engines[n];
    rs_engine_conf_t conf = {0};
    apr_allocator_t *allocator;
    rs_redis_url_t *url;
    int i;

    if (e->alive) {
        return;
    }
    memset(e, 0, sizeof(*e));
    e->started = sim_now;
    memset(e->saw_loss, 0xff, sizeof(e->saw_loss));
    memset(e->looked, 0, sizeof(e->looked));
    memset(e->hand_hi, 0, sizeof(e->hand_hi));
    for (i = 0; i < sim_nentries; i++) {
        sim_entries[i].read_by &= (uint8_t) ~(1 << n);
        sim_entries[i].counted_by &= (uint8_t) ~(1 << n);
        sim_entries[i].hidden &= (uint8_t) ~(1 << n);
    }
    conf.streamers = sim_conf.streamers;
    conf.cache = (size_t)sim_conf.cache_kb * 1024;
    conf.max_message = (size_t)sim_conf.max_message;
    conf.max_connections = 1000;
    conf.drain = MSEC(sim_conf.drain_ms);
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&e->pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, e->pool);
    e->stats = sim_malloc(sizeof(*e->stats));
    memset(e->stats, 0, sizeof(*e->stats));
    rs_redis_url_parse(&url, e->pool, "redis://127.0.0.1:6379/0");
    sim_nnew_polls = 0;
    if (rs_engine_create(&e->engine, e->pool, &conf, e->stats) != APR_SUCCESS) {
        sim_fail("sim", "no engine");
    }
    actor_begin(&e->hub, n, -1, sim_new_polls[0]);
    for (i = 0; i < conf.streamers; i++) {
        actor_begin(&e->streamers[i], n, i, sim_new_polls[1 + i]);
    }
    add_streams(e, url);
    e->alive = 1;
    TRACE("e%d starts", n);
}

static void check_end(const sim_engine_t *e)
{
    int i, n = (int)(e - sim_engines);

    if (e->engine->common.connections || e->stats->connections) {
        sim_fail("leak", "e%d ended with %d connections, statistics say %ld", n,
                 e->engine->common.connections, (long)e->stats->connections);
    }
    for (i = 0; i < sim_conns_used; i++) {
        if (sim_conns[i].used && sim_conns[i].engine == n && !sim_conns[i].closed) {
            sim_fail("leak", "e%d ended and did not close a connection of c%d", n,
                     sim_conns[i].client);
        }
    }
}

static void free_engine(sim_engine_t *e)
{
    rs_profiles_close(&e->engine->profiles);
    check_end(e);
    apr_pool_destroy(e->pool);
    sim_free(e->stats);
    e->alive = 0;
    TRACE("e%d is gone", (int)(e - sim_engines));
}

/* kill -9: to the world it is gone at once. That its end functions are called is only to have the
 * memory back. */
void sim_engine_kill(int n)
{
    sim_engine_t *e = &sim_engines[n];
    int i;

    if (!e->alive) {
        return;
    }
    TRACE("e%d is killed", n);
    sim_stats[SIM_S_KILLS]++;
    e->gone = 1;
    for (i = 0; i < sim_conns_used; i++) {
        if (sim_conns[i].used && sim_conns[i].engine == n) {
            sim_conn_lost(&sim_conns[i]);
        }
    }
    sim_rconn_cut(n, 8);
    for (i = 0; i < sim_conf.streamers; i++) {
        if (!e->streamers[i].over) {
            rs_streamer_end(e->engine->streamers[i]);
        }
    }
    if (!e->hub.over) {
        rs_hub_turn(e->engine->hub);
        rs_hub_end(e->engine->hub);
    }
    free_engine(e);
}

void sim_engine_drain(int n)
{
    sim_engine_t *e = &sim_engines[n];

    if (e->alive && !e->draining) {
        TRACE("e%d drains", n);
        sim_stats[SIM_S_DRAINS]++;
        e->draining = 1;
        rs_engine_drain(e->engine, 1);
    }
}

static void streamer_over(sim_engine_t *e, int i)
{
    int all = 1;

    rs_streamer_end(e->engine->streamers[i]);
    e->streamers[i].over = 1;
    for (i = 0; i < sim_conf.streamers; i++) {
        all &= e->streamers[i].over;
    }
    if (all) {
        rs_common_tell_hub(&e->engine->common, &e->stop, RS_MSG_STOP);
    }
}

/* --- turns --- */

static int has_work(const sim_actor_t *a)
{
    return !a->running && !a->over
           && (a->poll->got || a->poll->deadline <= sim_now || sim_poll_ready(a->poll));
}

static void take_turn(sim_actor_t *a)
{
    sim_engine_t *e = &sim_engines[a->engine];
    int on;

    if (a->same_at != sim_now || (a->streamer >= 0 && a->taken != e->taken)) {
        a->same_at = sim_now;
        a->taken = e->taken;
        a->same = 0;
    }
    if (++a->same > SPIN) {
        sim_fail("spin", "e%d: %s has had %d turns, and the clock stands still", a->engine,
                 a->streamer < 0 ? "the hub" : "a streamer", a->same);
        return;
    }
    sim_stats[SIM_S_TURNS]++;
    a->running = 1;
    depth++;
    on = a->streamer < 0 ? rs_hub_turn(e->engine->hub)
                         : rs_streamer_turn(e->engine->streamers[a->streamer]);
    depth--;
    a->running = 0;
    if (on) {
        return;
    }
    a->over = 1;
    if (a->streamer >= 0) {
        streamer_over(e, a->streamer);
    }
    else {
        rs_hub_end(e->engine->hub);
    }
}

/* No lock is held when somebody is woken: the other thread may as well run at once. */
void sim_world_poke(rs_poll_t *poll)
{
    if (poll->actor && sim_conf.preempt && depth && depth < 3 && !poll->actor->running
        && !poll->actor->over && sim_rand(&sim_sched, (uint32_t)sim_conf.preempt) == 0) {
        take_turn(poll->actor);
    }
}

int sim_world_turns(int max)
{
    sim_actor_t *ready[SIM_ENGINES * (1 + SIM_STREAMERS)];
    sim_rconn_t *conns[SIM_RCONNS];
    int turn, i, j, n, m, pick;

    for (turn = 0; (max < 0 || turn < max) && !sim_failed; turn++) {
        n = m = 0;
        for (i = 0; i < sim_conf.engines; i++) {
            sim_engine_t *e = &sim_engines[i];

            if (e->alive && e->hub.over) {
                free_engine(e);
            }
            if (!e->alive) {
                continue;
            }
            if (has_work(&e->hub)) {
                ready[n++] = &e->hub;
            }
            for (j = 0; j < sim_conf.streamers; j++) {
                if (has_work(&e->streamers[j])) {
                    ready[n++] = &e->streamers[j];
                }
            }
        }
        for (i = 0; i < sim_rconns_used; i++) {
            if (sim_rconn_due(&sim_rconns[i])) {
                conns[m++] = &sim_rconns[i];
            }
        }
        if (!n && !m) {
            break;
        }
        pick = (int)sim_rand(&sim_sched, (uint32_t)(n + m));
        if (pick < n) {
            take_turn(ready[pick]);
        }
        else {
            sim_rconn_execute(conns[pick - n]);
        }
    }
    return turn;
}

/* --- time --- */

static void sooner(apr_time_t *at, apr_time_t other) { *at = other < *at ? other : *at; }

static apr_time_t next_event(void)
{
    apr_time_t at = SIM_NEVER;
    rs_link_t *l;
    int i, j;

    for (i = 0; i < sim_conf.engines; i++) {
        sim_engine_t *e = &sim_engines[i];

        if (!e->alive) {
            continue;
        }
        sooner(&at, e->hub.poll->deadline);
        for (l = e->hub.poll->links; l; l = sim_link_list(l)) {
            sooner(&at, sim_link_next(l));
        }
        for (j = 0; j < sim_conf.streamers; j++) {
            if (!e->streamers[j].over) {
                sooner(&at, e->streamers[j].poll->deadline);
            }
        }
    }
    for (i = 0; i < sim_rconns_used; i++) {
        if (sim_rconns[i].used) {
            sooner(&at, sim_rconn_next(&sim_rconns[i]));
        }
    }
    return at;
}

static apr_time_t quiet_since;

static void check_cost(void)
{
    long enough;
    int i;

    for (i = 0; i < sim_conf.engines; i++) {
        sim_engine_t *e = &sim_engines[i];

        if (e->second == sim_now / SEC(1)) {
            continue;
        }
        enough = sim_model_affords(i);
        if (e->alive && !e->gone && sim_quiet && sim_now > quiet_since + SEC(10)
            && e->commands_second > enough) {
            sim_fail("cost", "e%d: %ld commands in a quiet second, %ld are enough", i,
                     e->commands_second, enough);
        }
        e->commands_second = 0;
        e->second = sim_now / SEC(1);
    }
}

void sim_world_wait(apr_time_t until)
{
    while (!sim_failed) {
        apr_time_t next;

        sim_world_turns(-1);
        sim_model_tick();
        next = next_event();
        if (sim_failed || next > until || sim_now >= until) {
            break;
        }
        sim_now = next > sim_now ? next : sim_now + 1;
        check_cost();
    }
    if (sim_now < until && !sim_failed) {
        sim_now = until;
        check_cost();
        sim_world_turns(-1);
    }
}

void sim_world_heal(void)
{
    int i;

    if (sim_redis.down_until > sim_now || sim_redis.paused_until > sim_now
        || sim_redis.error_until > sim_now) {
        sim_model_trouble(sim_now);
    }
    sim_redis.down_until = sim_redis.paused_until = 0;
    sooner(&sim_redis.error_until, sim_now);
    for (i = 0; i < SIM_KEYS; i++) {
        sooner(&sim_keys[i].noperm_until, sim_now);
        sim_redis_set_hash_string(i, 0);
        if (sim_keys[i].is_string) {
            sim_redis_del(i);
        }
    }
    for (i = 0; i < sim_conf.clients; i++) {
        sim_client_lag(i, 0);
    }
}

void sim_world_settle(void)
{
    sim_world_heal();
    sim_quiet = 1;
    quiet_since = sim_now;
    sim_world_wait(sim_now + SETTLE + MSEC(sim_conf.block_ms));
    while (!sim_failed && sim_model_gives(quiet_since)) {
        sim_world_wait(sim_now + SEC(1));
    }
    if (!sim_failed) {
        sim_model_settled();
    }
    sim_quiet = 0;
}

void sim_world_begin(uint64_t seed)
{
    int i;

    sim_failed = sim_quiet = depth = 0;
    sim_seam_reset(seed);
    sim_sched.x = sim_mix(seed) | 1;
    sim_model_reset();
    sim_redis_reset();
    sim_rconn_reset();
    sim_client_reset();
    memset(sim_engines, 0, sizeof(sim_engines));
    for (i = 0; i < sim_conf.engines; i++) {
        sim_engine_start(i);
    }
}

/* Everybody has everything; then all comes to an end, and nothing is left. */
void sim_world_end(void)
{
    long allocs = sim_live_allocs;
    int i, alive;

    if (!sim_failed) {
        sim_world_settle();
    }
    for (i = 0; i < sim_conf.engines; i++) {
        sim_engine_drain(i);
    }
    if (!sim_failed) {
        sim_world_wait(sim_now + MSEC(sim_conf.drain_ms) + SEC(6));
        sim_world_turns(1);
    }
    for (i = alive = 0; i < sim_conf.engines; i++) {
        alive |= sim_engines[i].alive;
    }
    if (!sim_failed && alive) {
        sim_fail("endless", "an engine does not end");
    }
    (void)allocs;
}
