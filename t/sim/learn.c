/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine learns, for the model: each reply is made with notes of what is in it, which count
 * when it is taken.
 */
#include "sim.h"

sim_rrep_t *sim_noting; /* the reply that is being made */

/* Since when it has a reader of this key; SIM_NEVER: it has none. */
static apr_time_t read_since(int engine, int k)
{
    apr_time_t since = SIM_NEVER;
    int i, j;

    for (i = 0; i < sim_conns_used; i++) {
        const sim_conn_t *c = &sim_conns[i];

        for (j = 0; c->used && !c->closed && c->engine == engine && j < c->nkeys; j++) {
            since = c->key[j] == k && c->submit_at < since ? c->submit_at : since;
        }
    }
    return since;
}

/* A tenant's own key is forgotten half a minute after its last reader, though it is looked at until
 * then: what it was is not known any more. */
static void forget_unread(int engine, int k)
{
    static const rs_id_t none;
    sim_engine_t *e = &sim_engines[engine];
    apr_time_t since = read_since(engine, k);

    if (e->last_read[k] < sim_now - SEC(29) && since >= sim_now - SEC(29)) {
        e->saw_loss[k] = 0;
        e->counted[k].known = 0;
        e->born[k] = e->followed[k] = e->began[k] = none;
    }
    if (since != SIM_NEVER) {
        e->last_read[k] = sim_now;
    }
}

/* Redis has said afterwards that the stream ends there. */
static int still_counts(const sim_entry_t *entry, rs_id_t last, long removals)
{
    return rs_id_cmp(entry->id, last) <= 0
           && (entry->how == SIM_PRESENT || entry->removed > removals);
}

void sim_learn(int engine, const sim_rrep_t *rep)
{
    sim_engine_t *e = &sim_engines[engine];
    int i, j;

    for (i = 0; i < rep->nnotes; i++) {
        int k = rep->note[i].key;
        rs_id_t last = rep->note[i].last;

        if (rep->note[i].info < 0) {
            e->hand_hi[k] = 0;
            memset(&e->hand[k], 0, sizeof(e->hand[k]));
            continue;
        }
        if (k >= SIM_OWN && rep->note[i].info) {
            forget_unread(engine, k);
        }
        if (rep->note[i].hi > rep->note[i].lo) {
            e->hand_lo[k] = rep->note[i].lo;
            e->hand_hi[k] = rep->note[i].hi;
            e->hand_removals[k] = rep->note[i].removals;
        }
        /* What was read counts when Redis has said afterwards that it is still the same stream. */
        for (j = e->hand_lo[k]; rep->note[i].info && j < e->hand_hi[k]; j++) {
            sim_entry_t *entry = &sim_entries[sim_keys[k].all[j]];

            if (still_counts(entry, last, e->hand_removals[k])) {
                entry->read_by |= (uint8_t)(1 << engine);
            }
        }
        for (j = e->hand[k].lo; rep->note[i].look.is && j < e->hand[k].hi; j++) {
            sim_entry_t *entry = &sim_entries[sim_keys[k].all[j]];

            if (still_counts(entry, last, e->hand[k].removals)) {
                entry->counted_by |= (uint8_t)(1 << engine);
            }
        }
        if (rep->note[i].info) {
            e->hand_hi[k] = 0;
        }
        if (rep->note[i].hand.n) {
            e->hand[k] = rep->note[i].hand;
        }
        if (rep->note[i].look.is) {
            rs_id_raise(&e->followed[k], e->hand[k].last); /* it counts from now on */
            sim_count_look(e, engine, k, &rep->note[i].look);
        }
        if (rep->note[i].info && (last.ms || last.seq)) {
            e->looked_time[k][rep->note[i].epoch & 7] = sim_now;
            e->looked[k] |= (uint64_t)1 << (rep->note[i].epoch & 63);
        }
        if (rep->note[i].look.is && rep->note[i].info && rs_id_cmp(last, e->followed[k]) < 0) {
            e->saw_loss[k] = (int)rep->note[i].epoch;
            e->born[k] = e->followed[k] = e->max_seen[k] = last;
        }
        if (rep->note[i].look.is) {
            rs_id_raise(&e->followed[k], last);
        }
        if (rep->note[i].look.is && !rep->note[i].look.added && !e->began[k].ms) {
            e->began[k] = last;
        }
        if (rs_id_cmp(last, e->max_seen[k]) > 0) {
            e->max_seen[k] = last;
        }
    }
}

/* What was read by a connection that is gone counts no more, unless Redis has said what it is of. */
void sim_unlearn(const sim_rconn_t *c)
{
    sim_engine_t *e = &sim_engines[c->engine];
    int k;

    for (k = c->tracking ? SIM_OWN : 0; c->follows && k < (c->tracking ? SIM_KEYS : SIM_OWN); k++) {
        e->hand_hi[k] = 0;
        memset(&e->hand[k], 0, sizeof(e->hand[k]));
    }
}

sim_rrep_t *sim_new_reply(void)
{
    sim_rrep_t *rep = sim_malloc(sizeof(*rep));

    rep->next = NULL;
    rep->r = NULL;
    rep->nnotes = 0;
    return rep;
}

void sim_note(int k, int lo, int hi, int info, rs_id_t last)
{
    if (sim_noting->nnotes < 8) {
        sim_noting->note[sim_noting->nnotes].key = k;
        sim_noting->note[sim_noting->nnotes].lo = lo;
        sim_noting->note[sim_noting->nnotes].hi = hi;
        sim_noting->note[sim_noting->nnotes].info = info;
        sim_noting->note[sim_noting->nnotes].removals = sim_redis.removals;
        sim_noting->note[sim_noting->nnotes].last = last;
        sim_noting->note[sim_noting->nnotes].hand.n = 0;
        sim_noting->note[sim_noting->nnotes].look.is = 0;
        sim_noting->note[sim_noting->nnotes++].epoch = sim_keys[k].epoch;
    }
}

/* What was noted last is also a look at the key, by one who follows it. */
void sim_note_look(const sim_rconn_t *c, int k)
{
    sim_look_t *look = &sim_noting->note[sim_noting->nnotes - 1].look;
    const sim_stream_t *s = &sim_keys[k].s;
    rs_id_t none = {0, 0};

    look->is = c->follows;
    look->epoch = sim_keys[k].epoch;
    look->removals = sim_redis.removals;
    look->nall = sim_keys[k].nall;
    look->added = s->added;
    look->length = s->end - s->start;
    look->last = s->last;
    look->deleted = s->max_deleted;
    look->first = s->start < s->end ? sim_entries[s->uid[s->start]].id : none;
}

/* What was noted last was read by one who follows the key. */
void sim_note_hand(int k, int n)
{
    sim_hand_t *hand = &sim_noting->note[sim_noting->nnotes - 1].hand;

    hand->n = n;
    hand->lo = sim_noting->note[sim_noting->nnotes - 1].lo;
    hand->hi = sim_noting->note[sim_noting->nnotes - 1].hi;
    hand->removals = sim_redis.removals;
    hand->last = sim_entries[sim_keys[k].all[hand->hi - 1]].id;
}
