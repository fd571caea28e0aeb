/* SPDX-License-Identifier: Apache-2.0
 *
 * What has to come in time, what that may cost, and what has to have come when all was quiet and well
 * for long.
 */
#include "log/rs_fetch.h"
#include "redis/rs_batch.h"
#include "model.h"

#define REPLAY_LIMIT SEC(3) /* all being well, a replay takes this and some round trips */
#define BEAT_SLACK SEC(1)   /* a heartbeat may be this late */
#define READ_LIMIT SEC(2)   /* no read is blocked for longer */
#define GREET_LIMIT SEC(3)  /* all being well, a client knows its verdict by then */
#define QUIET_COMMANDS 40   /* a second, of an engine about which nothing happens */

/* How many entries of each stream come at once, with so many bytes in an answer at most. */
static size_t in_an_answer(const sim_conn_t *c, size_t bytes, size_t max)
{
    size_t most = 1, fit;
    int i, k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = 0; i < key->nall; i++) {
            most = sim_entries[key->all[i]].size > most ? sim_entries[key->all[i]].size : most;
        }
    }
    fit = bytes / most / (size_t)c->nkeys;
    return fit < 1 ? 1 : fit > max ? max : fit;
}

/* How long one question for all its streams may take. */
static apr_time_t round_time(const sim_conn_t *c)
{
    return 2 * sim_conf.lat_us * (sim_conf.split ? c->nkeys + 1 : 1);
}

/* Those for so many entries. */
static apr_time_t reading_time(const sim_conn_t *c, int n, size_t bytes, size_t max)
{
    return (apr_time_t)((size_t)n / in_an_answer(c, bytes, max)) * round_time(c);
}

/* Who may have a question between any two of another one. */
static int readers(const sim_conn_t *c)
{
    int i, n = 1;

    for (i = 0; i < sim_conns_used; i++) {
        n += sim_conns[i].used && sim_conns[i].engine == c->engine;
    }
    return n;
}

/* What it has to be given: what it was behind, and what came since. */
static int to_come(const sim_conn_t *c)
{
    int k, i, n = c->behind;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = key->nall - 1; i >= 0 && sim_entries[key->all[i]].added_at >= c->connected_at;
             i--) {
            n++;
        }
    }
    return n;
}

/* Ahead of its engine, it waits until that has come as far, which looks after each read. */
static apr_time_t replay_time(const sim_conn_t *c)
{
    return reading_time(c, to_come(c), RS_FETCH_BYTES, 64) * readers(c)
           + reading_time(c, c->ahead, RS_BATCH_BYTES, (size_t)sim_conf.batch) * 2;
}

/* How long a read waits for news. */
static apr_time_t read_time(void)
{
    return MSEC(sim_conf.block_ms) < READ_LIMIT ? MSEC(sim_conf.block_ms) : READ_LIMIT;
}

/* When it became another one, or lost what is behind this place before its engine had read that. */
static apr_time_t changed_at(const sim_conn_t *c, int k)
{
    const sim_key_t *key = &sim_keys[c->key[k]];
    apr_time_t at = key->disturbed_at;
    int i;

    for (i = key->nall - 1; i >= 0 && key->removed_at > at; i--) {
        const sim_entry_t *e = &sim_entries[key->all[i]];

        if (e->removed_at > at && !(e->counted_by & 1 << c->engine)
            && rs_id_cmp(e->id, c->start[k]) > 0) {
            at = e->removed_at;
        }
    }
    return at;
}

/* From when on nothing is in its way: that a key which all share is another one, or that something
 * came and went in it unread, its engine hears when its read of that ends, and until then nothing
 * that is missing can be told from what never was, or was deleted. An id of which it has not heard,
 * and of which nothing is there, is passed by the next read. */
static apr_time_t replay_from(const sim_conn_t *c)
{
    apr_time_t from = c->connected_at + (c->unheard ? 2 * read_time() : 0);
    int k;

    for (k = 0; k < c->nkeys; k++) {
        apr_time_t at = c->key[k] < SIM_OWN ? changed_at(c, k) : -1;

        if (at >= 0 && at + read_time() > from) {
            from = at + read_time();
        }
    }
    return from;
}

/* The pass that it came too late for, and its own: each begins with a few entries. */
static apr_time_t greet_time(const sim_conn_t *c)
{
    int k, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].s.end - sim_keys[c->key[k]].s.start;
    }
    return 2 * (round_time(c) + reading_time(c, n, RS_BATCH_BYTES, 512)) * readers(c);
}

static int is_open(const sim_conn_t *c)
{
    return c->used && !c->closed && !c->peer_closed && !c->ended;
}

/* The clock is about to move on: nobody has anything to do at this moment. */
void sim_model_tick(void)
{
    int i;

    for (i = 0; i < sim_conns_used; i++) {
        const sim_conn_t *c = &sim_conns[i];
        apr_time_t since, beat;

        if (!is_open(c) || sim_clients[c->client].lag) {
            continue;
        }
        beat = MSEC(sim_conf.pbeat_ms[c->profile]);
        since = c->out_at > c->reading_since ? c->out_at : c->reading_since;
        if (c->connected && beat && sim_now > since + beat + BEAT_SLACK) {
            sim_fail("silent", "c%d at e%d: nothing since %.3f s, heartbeats are every %.3f s",
                     c->client, c->engine, (double)(sim_now - since) / 1e6, (double)beat / 1e6);
        }
        if (c->connected && c->replay && !c->caught_up && sim_well(c->submit_at)
            && c->reading_since <= c->connected_at && sim_now > c->connected_at + REPLAY_LIMIT
            && sim_now > replay_from(c) + REPLAY_LIMIT + replay_time(c)) {
            sim_fail("late", "c%d at e%d: not caught up after %.3f s, %d behind", c->client,
                     c->engine, (double)(sim_now - c->connected_at) / 1e6, c->behind);
        }
        if (!c->connected && sim_now > c->submit_at + GREET_LIMIT && sim_well(c->submit_at)
            && sim_now > c->submit_at + GREET_LIMIT + greet_time(c)) {
            sim_fail("late", "c%d at e%d: not greeted after %.3f s", c->client, c->engine,
                     (double)(sim_now - c->submit_at) / 1e6);
        }
    }
}

/* The first that it is owed of a stream and has neither had nor been told of; else its end. */
static int next_owed(const sim_conn_t *c, int k)
{
    const sim_key_t *key = &sim_keys[c->key[k]];
    int n = c->next[k];

    while (n < key->nall
           && !(sim_entries[key->all[n]].tenant == c->tenant
                && sim_is_owed(c, k, &sim_entries[key->all[n]]))) {
        n++;
    }
    return n;
}

static int has_all(const sim_conn_t *c)
{
    int k, all = !c->replay || c->caught_up;

    for (k = 0; k < c->nkeys; k++) {
        all &= next_owed(c, k) == sim_keys[c->key[k]].nall;
    }
    return all;
}

int sim_model_gives(apr_time_t since)
{
    int i;

    for (i = 0; i < sim_conns_used; i++) {
        const sim_conn_t *c = &sim_conns[i];

        if (is_open(c) && c->connected && !has_all(c)
            && sim_now <= since + REPLAY_LIMIT + replay_time(c)) {
            return 1;
        }
    }
    return 0;
}

/* Who still caught up in that second is given 64 entries at a time, with a few commands for each. */
static int catches_up(const sim_conn_t *c)
{
    return c->replay && (!c->caught_up || c->caught_up / SEC(1) == sim_engines[c->engine].second);
}

/* Who fell behind what is in memory asks for it: each time two commands for each stream. */
static long reads_back(sim_conn_t *c)
{
    long n = 0, most;
    int k;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].s.end - sim_redis_above(c->key[k], c->pos[k]);
    }
    most = n > c->above ? n : c->above;
    c->above = n;
    return most ? 2 * c->nkeys * (1 + most / (long)in_an_answer(c, RS_FETCH_BYTES, 64)) : 0;
}

/* What was written before the quiet is read on: two commands, at most, for each entry. */
static long reads_on(int engine)
{
    static long long before[SIM_ENGINES];
    long long read = 0, more;
    int k;

    for (k = 0; k < SIM_OWN; k++) {
        read += sim_engines[engine].counted[k].added;
    }
    more = read - before[engine];
    before[engine] = read;
    return more > 0 ? 2 * (long)more : 0;
}

/* Called once a second. */
long sim_model_affords(int engine)
{
    long n = QUIET_COMMANDS + reads_on(engine);
    int i;

    for (i = 0; i < sim_conns_used; i++) {
        sim_conn_t *c = &sim_conns[i];

        if (c->used && c->engine == engine) {
            n += 4 + (catches_up(c) ? c->behind / 16 : 0) + reads_back(c);
        }
    }
    return n;
}

void sim_model_settled(void)
{
    int i, k;

    sim_stats[SIM_S_SETTLES]++;
    for (i = 0; i < sim_conns_used && !sim_failed; i++) {
        sim_conn_t *c = &sim_conns[i];

        if (!is_open(c)) {
            continue;
        }
        if (!c->connected || (c->replay && !c->caught_up)) {
            sim_fail("late", "c%d at e%d: %s, though all is well", c->client, c->engine,
                     c->connected ? "not caught up" : "not greeted");
            return;
        }
        sim_backlog_follows(c);
        for (k = 0; k < c->nkeys; k++) {
            const sim_key_t *key = &sim_keys[c->key[k]];
            int n = next_owed(c, k);

            if (n < key->nall) {
                sim_pass(c, k, key->nall,
                         sim_entries[key->all[n]].how == SIM_PRESENT ? "undelivered" : "untold");
            }
        }
    }
}
