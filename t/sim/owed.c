/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection has to be given or told, and whether that was passed by: each id line says how
 * far it is.
 */
#include "model.h"

#define RESETS_MAX 2 /* of one connection, nothing being removed meanwhile */

const char *sim_id_text(rs_id_t id)
{
    static char text[4][RS_ID_LEN];
    static int i;

    i = (i + 1) % 4;
    rs_id_format(text[i], id);
    return text[i];
}

static const char *how_text(const sim_entry_t *e)
{
    static const char *const names[] = {"there", "trimmed", "deleted", "lost", "gone with its key"};

    return names[e->how];
}

/* A stream that came and went between two looks is one that never was; and a tenant's own key is
 * forgotten half a minute after its last reader. */
static int was_looked_at(const sim_conn_t *c, int k, const sim_entry_t *e)
{
    if (c->key[k] >= SIM_OWN
        && e->removed_at > sim_engines[c->engine].looked_time[c->key[k]][e->epoch & 7] + SEC(29)) {
        return 0;
    }
    return sim_engines[c->engine].looked[c->key[k]] >> (e->epoch & 63) & 1;
}

/* It stands where a stream began anew for its engine, or has all that is there up to that; or came
 * with that id after this was removed. */
static int stood_at_birth(const sim_conn_t *c, int k, const sim_entry_t *e)
{
    rs_id_t born = sim_engines[c->engine].born[c->key[k]];

    return rs_id_cmp(c->pos[k], born) == 0
           || (rs_id_cmp(c->pos[k], born) < 0
               && sim_redis_above(c->key[k], c->pos[k]) == sim_redis_above(c->key[k], born))
           || (c->came_at_birth[k] && e->removed_at <= c->submit_at);
}

/* Whether this entry, which the connection has not had, had to come or to be told. */
int sim_is_owed(const sim_conn_t *c, int k, const sim_entry_t *e)
{
    if ((c->choosing && e->added_at < c->connected_at)
        || (e->removed_at >= 0 && e->removed_at <= c->stood_at)) {
        return 0;
    }
    if (sim_count_put_back(&sim_engines[c->engine], e)) {
        return 0; /* to whom that matters, it is told when that is seen */
    }
    switch (e->how) {
    case SIM_PRESENT:
        /* In a stream that was replaced, below the position: only who saw that can know. */
        if (c->told_at >= e->added_at && !sim_well(c->told_at)) {
            return 0; /* the key was not to be read: what it held then is said to be missing */
        }
        if (rs_id_cmp(e->id, c->pos[k]) > 0) {
            return 1;
        }
        return !sim_conf.redis6 && sim_engines[c->engine].saw_loss[c->key[k]] >= (int)e->epoch;
    case SIM_KEY_GONE:
        if (sim_count_hides(&sim_engines[c->engine], e) || e->hidden & 1 << c->engine) {
            return 0;
        }
        if (stood_at_birth(c, k, e)) {
            return 0; /* as with those that were lost */
        }
        if (sim_conf.redis6) {
            return 0; /* it is known by what it counts */
        }
        /* Of one that is empty again nothing tells that it is another one, if it counts as much. */
        return was_looked_at(c, k, e) && c->told_at < e->removed_at
               && sim_keys[c->key[k]].s.start < sim_keys[c->key[k]].s.end;
    case SIM_TRIMMED:
        /* Redis 6 does not count: what was trimmed unread is not missed. */
        if (sim_conf.redis6) {
            return 0;
        }
        if (sim_count_hides(&sim_engines[c->engine], e)) {
            return 0;
        }
        if (e->hidden & 1 << c->engine) {
            return 0;
        }
        if (e->epoch != sim_keys[c->key[k]].epoch
            && (!was_looked_at(c, k, e)
                || stood_at_birth(c, k, e))) {
            return 0;
        }
        return c->told_at < e->removed_at;
    case SIM_LOST:
        /* Those who were told stand where what is left ends: who stood there is as they are. */
        if (stood_at_birth(c, k, e)) {
            return 0;
        }
        return (e->counted_by & 1 << c->engine) && c->told_at < e->removed_at
               && sim_knows_lost(c, e);
    default:
        return 0;
    }
}

void sim_pass(sim_conn_t *c, int k, int to, const char *class)
{
    const sim_key_t *key = &sim_keys[c->key[k]];

    for (; c->next[k] < to; c->next[k]++) {
        const sim_entry_t *e = &sim_entries[key->all[c->next[k]]];

        if (e->tenant == c->tenant && sim_is_owed(c, k, e)) {
            if (!*class && e->how != SIM_PRESENT && c->gone) {
                c->debt = 1;
                continue;
            }
            sim_fail(*class                  ? class
                     : e->how == SIM_PRESENT ? "skipped"
                                             : "hole",
                     "c%d at e%d: %s %s of %s (n %d), %s, went by untold", c->client, c->engine,
                     key->name, sim_id_text(e->id), sim_tenant(e->tenant), key->all[c->next[k]],
                     how_text(e));
            return;
        }
    }
}

/* The same for what was gone when it was passed by, and is there again, above the position. */
void sim_pass_put_back(sim_conn_t *c, int k, rs_id_t to)
{
    const sim_stream_t *s = &sim_keys[c->key[k]].s;
    int i;

    for (i = sim_redis_above(c->key[k], c->pos[k]); i < s->end; i++) {
        const sim_entry_t *e = &sim_entries[s->uid[i]];

        if ((int)e->index >= c->next[k] || rs_id_cmp(e->id, to) > 0) {
            return;
        }
        if (e->tenant == c->tenant && sim_is_owed(c, k, e)) {
            sim_fail("skipped", "c%d at e%d: %s %s (n %d), which was put back, went by untold",
                     c->client, c->engine, sim_keys[c->key[k]].name, sim_id_text(e->id), s->uid[i]);
            return;
        }
    }
}

/* Whether an id above all that there is speaks of this entry: it is of what was there before, as long
 * as the engine has not seen that this is another stream. Then who has that id is told. */
static int speaks_of(const sim_conn_t *c, int k, rs_id_t pos, const sim_entry_t *e)
{
    return rs_id_cmp(pos, sim_keys[e->key].s.last) <= 0
           || sim_engines[c->engine].looked[c->key[k]] >> (e->epoch & 63) & 1;
}

/* An id line: everything up to this position was given or told. */
void sim_raise_position(sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        int to = c->next[k];

        if (rs_id_cmp(pos[k], c->pos[k]) < 0) {
            sim_fail("order", "c%d at e%d: its id goes back in %s from %s to %s", c->client,
                     c->engine, key->name, sim_id_text(c->pos[k]), sim_id_text(pos[k]));
        }
        while (to < key->nall && rs_id_cmp(sim_entries[key->all[to]].id, pos[k]) <= 0
               && rs_id_cmp(sim_entries[key->all[to]].id, c->pos[k]) > 0
               && speaks_of(c, k, pos[k], &sim_entries[key->all[to]])) {
            to++;
        }
        sim_pass_put_back(c, k, pos[k]);
        sim_pass(c, k, to, "");
        c->pos[k] = pos[k];
    }
}

/* Everything up to here is settled, and what comes is above it. */
void sim_stand_at(sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        c->pos[k] = pos[k];
        c->next[k] = sim_index_above(c->key[k], pos[k]);
    }
    c->stood_at = sim_now;
}

void sim_told(sim_conn_t *c)
{
    if (c->told_at >= 0 && !sim_removed_since(c, c->told_at - TOLD_MARGIN)
        && ++c->resets > RESETS_MAX) {
        sim_fail("flood", "c%d at e%d: told of a gap again and again", c->client, c->engine);
    }
    c->told_at = sim_now;
}

/* What was to be told behind an event has to come next. */
void sim_check_debt(const sim_conn_t *c)
{
    if (c->debt) {
        sim_fail("hole", "c%d at e%d: what was removed in front of its last events went by untold",
                 c->client, c->engine);
    }
}
