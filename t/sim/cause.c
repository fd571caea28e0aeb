/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether there is a cause for what a client is told: what happened to its keys since when.
 */
#include "model.h"

#define MEMORY_BYTES (256 * 1024) /* what an engine holds of a tenant if its cache is not small */
#define TROUBLE_MARGIN SEC(12)    /* Redis's trouble may show for so long */

static apr_time_t trouble_at;

void sim_trouble_reset(void) { trouble_at = -SEC(100); }

void sim_model_trouble(apr_time_t until) { trouble_at = until > trouble_at ? until : trouble_at; }

int sim_well(apr_time_t since) { return trouble_at + TROUBLE_MARGIN < since; }

int sim_disturbed_since(const sim_conn_t *c, apr_time_t t)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (sim_keys[c->key[k]].disturbed_at >= t || sim_keys[c->key[k]].is_string) {
            return 1;
        }
    }
    return 0;
}

int sim_removed_since(const sim_conn_t *c, apr_time_t t)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (sim_keys[c->key[k]].removed_at >= t) {
            return 1;
        }
    }
    return sim_disturbed_since(c, t);
}

/* Whether something above this position may have been trimmed: trimming takes the oldest, so not
 * while an entry at or below it is there. Whether single ones were removed since, and what was
 * between the position and the first entry, no engine is asked to know. */
static int may_be_trimmed(const sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        if (key->disturbed_at >= 0 || key->is_string) {
            return 1;
        }
        if (key->removed_at >= 0
            && (key->s.start == key->s.end
                || rs_id_cmp(sim_entries[key->s.uid[key->s.start]].id, pos[k]) > 0)) {
            return 1;
        }
    }
    return 0;
}

/* In front of all that a stream ever held that was never replaced, so XSETID made it: to who has
 * not seen that stream stand there when it held nothing, it is of another one. */
static int may_be_foreign(const sim_conn_t *c, const rs_id_t *pos)
{
    static const rs_id_t none;
    int k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        rs_id_t first = key->nall ? sim_entries[key->all[0]].id : key->s.last;
        rs_id_t began = sim_engines[c->engine].began[c->key[k]];

        if (key->disturbed_at < 0 && rs_id_cmp(pos[k], none) > 0
            && rs_id_cmp(rs_id_after(pos[k]), first) < 0
            && (!began.ms || rs_id_cmp(pos[k], began) < 0)) {
            return 1;
        }
    }
    return 0;
}

/* Whether this engine has to take it for trimmed, or gone with its key. One that was removed by
 * itself: if it never had it, and no older one is there. */
static int may_be_gap(const sim_conn_t *c, const sim_entry_t *e)
{
    const sim_stream_t *s = &sim_keys[e->key].s;

    return e->how != SIM_PRESENT
           && !(e->how == SIM_XDELETED
                && ((e->read_by & 1 << c->engine)
                    || (s->start < s->end
                        && rs_id_cmp(sim_entries[s->uid[s->start]].id, e->id) < 0)));
}

/* Whether a reader that goes on may have to be told of something that was removed since then. */
static int gap_since(const sim_conn_t *c, apr_time_t t)
{
    int k, i;

    if (sim_disturbed_since(c, t)) {
        return 1;
    }
    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = key->nall - 1; i >= 0 && key->removed_at >= t; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->removed_at >= t && may_be_gap(c, e)) {
                return 1;
            }
        }
    }
    return 0;
}

/* Its id is above all there is, or was when it came; both: and. */
int sim_is_beyond(const sim_conn_t *c, int both)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        int now = rs_id_cmp(c->hold.pos[k], sim_keys[c->key[k]].s.last) > 0;
        int then = rs_id_cmp(c->hold.pos[k], c->last_at_submit[k]) > 0;

        if (both ? now && then : now || then) {
            return 1;
        }
    }
    return 0;
}

int sim_above(const sim_conn_t *c, const int *next)
{
    int k, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].nall - next[k];
    }
    return n;
}

/* This engine has seen that loss, and not only one before it. */
int sim_knows_lost(const sim_conn_t *c, const sim_entry_t *e)
{
    return sim_engines[c->engine].saw_loss[e->key] >= (int)e->lost_in;
}

/* The newest entry that it has had is lost, and this engine knows. */
void sim_check_lost(const sim_conn_t *c)
{
    int k;

    for (k = 0; k < c->nkeys && !c->hold.made_up; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        const sim_entry_t *e =
            c->hold.next[k] > 0 ? &sim_entries[key->all[c->hold.next[k] - 1]] : NULL;

        if (e && e->how == SIM_LOST && e->removed_at > c->hold.at
            && sim_knows_lost(c, e)) {
            sim_fail("lost", "c%d at e%d: resumed with %s, but Redis has lost what it had",
                     c->client, c->engine, c->hold.text);
        }
    }
}

/* The id of an entry that was lost, and perhaps put back, or one that may be, since the stream had
 * gone as far (XSETID): who has that is not told apart from one that has what was lost, however long
 * ago that was. */
static int is_of_two(const sim_conn_t *c)
{
    int k, i;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        if (rs_id_cmp(c->hold.pos[k], key->lost_from) > 0
            && rs_id_cmp(c->hold.pos[k], key->lost_to) <= 0) {
            return 1;
        }
        for (i = key->nall - 1; i >= 0; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if ((e->put_back || e->how == SIM_LOST) && rs_id_cmp(e->id, c->hold.pos[k]) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* Below what a lost tail left, or what another stream held when it was seen, it goes on from its own
 * place, and is told until it is there. */
static int is_below_lost(const sim_conn_t *c)
{
    int k, i;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        if (rs_id_cmp(c->hold.pos[k], sim_engines[c->engine].counted[c->key[k]].top) < 0) {
            return 1;
        }
        for (i = key->nall - 1; i >= 0; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->how == SIM_LOST && rs_id_cmp(e->id, c->hold.pos[k]) > 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* It was given older events than Redis has, from memory, and left in the middle of that. */
static int is_below_removed(const sim_conn_t *c)
{
    int k, i;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = key->nall - 1; i >= c->hold.next[k]; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->how != SIM_PRESENT && e->how != SIM_XDELETED
                && rs_id_cmp(e->id, c->hold.pos[k]) > 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* This engine does not know what the client was told: it was started since; or of a tenant's own key
 * another one told it, or it was forgotten, half a minute after its last reader. */
static int is_not_remembered(const sim_conn_t *c)
{
    int k, own = 0;

    if (sim_engines[c->engine].started >= c->hold.told_at) {
        return 1;
    }

    for (k = 0; k < c->nkeys; k++) {
        own |= c->key[k] >= SIM_OWN;
    }
    return own && (c->hold.engine != c->engine || c->hold.at + SEC(29) < sim_now);
}

/* Whether what is said again was said before: nothing was removed since. */
static void check_told_once(sim_conn_t *c, const char *reason)
{
    if (is_below_lost(c) || is_below_removed(c) || is_not_remembered(c)
        || may_be_foreign(c, c->hold.pos)) {
        return;
    }
    if (c->brought == SIM_ID && c->hold.told_at >= 0 && !sim_conf.redis6
        && !(strcmp(reason, "redis_reset") == 0 && (is_of_two(c) || c->hold.replaying))
        && !sim_removed_since(c, c->hold.told_at - TOLD_MARGIN)) {
        sim_fail("twice", "c%d at e%d: reset %s again with %s, which it got when it was told",
                 c->client, c->engine, reason, c->hold.text);
    }
}

/* All topics together, each with its own copy of what its tenant has in a stream that all share. */
static int has_room_for_all(void)
{
    size_t bytes = 0, i;

    for (i = 0; i < (size_t)sim_nentries; i++) {
        bytes += sim_entries[i].size + 200;
    }
    return bytes * (size_t)sim_conf.profiles < (size_t)sim_conf.cache_kb * 1024;
}

/* Whether the engine has in memory what this client has missed: another one of the tenant, at the
 * same endpoint, has been there since before, all was well, and nothing went by unread. */
static int is_held(const sim_conn_t *c)
{
    const sim_conn_t *o;
    size_t bytes = 0;
    int k, i;

    if (c->brought != SIM_ID || sim_conf.cache_kb < 4096 || !has_room_for_all()
        || !sim_well(c->hold.at)) {
        return 0;
    }
    for (o = sim_conns; o < sim_conns + sim_conns_used; o++) {
        if (o != c && o->used && !o->closed && !o->peer_closed && o->connected && !o->ended
            && o->engine == c->engine && o->profile == c->profile && o->tenant == c->tenant
            && o->connected_at < c->hold.at && o->told_at < 0) {
            break;
        }
    }
    for (k = 0; k < c->nkeys && o < sim_conns + sim_conns_used; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = c->hold.next[k]; i < key->nall; i++) {
            bytes += sim_entries[key->all[i]].size + 200;
            if (!(sim_entries[key->all[i]].read_by & 1 << c->engine)
                && sim_entries[key->all[i]].how != SIM_PRESENT) {
                return 0;
            }
        }
        if (rs_id_cmp(c->hold.pos[k], o->start[k]) < 0) {
            return 0;
        }
    }
    return o < sim_conns + sim_conns_used && bytes < MEMORY_BYTES;
}

/* One pass looks for all who come back at the same time, and counts what it looks at for all of them
 * together: of several streams, each of them may be far back in another one. */
static int may_be_limited(const sim_conn_t *c)
{
    int k, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].nall;
    }
    return sim_above(c, c->hold.next) > sim_conf.plimit[c->profile]
           || (c->nkeys > 1 && n > sim_conf.plimit[c->profile]);
}

/* It stood before everything, or where nobody ever was: what was lost at any time was behind that. */
static int came_from_nothing(const sim_conn_t *c)
{
    static const rs_id_t none;
    int k;

    for (k = 0; k < c->nkeys && rs_id_cmp(c->hold.pos[k], none) != 0; k++) {
    }
    return c->hold.made_up || k < c->nkeys;
}

void sim_check_cause(sim_conn_t *c, const char *reason)
{
    int ok;

    if (strcmp(reason, "trimmed") == 0) {
        ok = c->brought == SIM_NO_ID || c->hold.made_up || sim_conf.redis6
             || may_be_foreign(c, c->hold.pos)
             || (may_be_trimmed(c, c->hold.pos) && (sim_disturbed_since(c, 0) || !is_held(c)));
        check_told_once(c, reason);
    }
    else if (strcmp(reason, "limit") == 0) {
        ok = c->brought == SIM_NO_ID || may_be_limited(c) || sim_disturbed_since(c, 0);
    }
    else {
        ok = c->brought == SIM_NO_ID
             || sim_disturbed_since(c, came_from_nothing(c) ? 0 : c->hold.at - SEC(60))
             || sim_is_beyond(c, 0) || is_below_lost(c)
             || (is_of_two(c) && sim_disturbed_since(c, sim_engines[c->engine].started));
        check_told_once(c, reason);
    }
    if (!ok) {
        sim_fail("false", "c%d at e%d: reset %s with %s, for no cause", c->client, c->engine,
                 reason, c->hold.text);
    }
}

/* What a key held while it could not be read is said to be missing to those who were there: in its
 * place, by which others come later. */
static int was_barred(const sim_conn_t *c, const rs_id_t *at)
{
    int k;

    for (k = 0; k < c->nkeys
                && (rs_id_cmp(at[k], c->pos[k]) <= 0
                    || rs_id_cmp(at[k], sim_keys[c->key[k]].barred) > 0);
         k++) {
    }
    return k < c->nkeys;
}

/* Up to this place there is something that was removed before its engine had it: by itself too, of
 * which a read that could not see it when it was there did not hear how it went. */
static int is_gap_at(const sim_conn_t *c, const rs_id_t *at)
{
    int k, i;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = sim_index_above(c->key[k], c->pos[k]); i < key->nall; i++) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->how != SIM_PRESENT && !(e->read_by & 1 << c->engine)
                && rs_id_cmp(e->id, at[k]) <= 0) {
                return 1;
            }
        }
    }
    return 0;
}

int sim_may_be_reset(const sim_conn_t *c, const char *reason, const rs_id_t *at)
{
    if (strcmp(reason, "trimmed") == 0) {
        return sim_conf.redis6 || was_barred(c, at) || !sim_well(sim_now) || may_be_trimmed(c, c->pos)
               || is_gap_at(c, at)
               || gap_since(c, c->told_at < 0 ? c->submit_at - SEC(5) : c->told_at - TOLD_MARGIN);
    }
    if (strcmp(reason, "limit") == 0) { /* a cache was full, so the way back was not measured */
        return c->replay
               && (c->brought == SIM_NO_ID || sim_disturbed_since(c, 0) || may_be_limited(c));
    }
    if (c->reset_at < 0 || !sim_well(c->submit_at)) {
        /* Of what happened while Redis did not answer it is heard later. */
        return sim_is_beyond(c, 0)
               || sim_disturbed_since(c, c->submit_at - SEC(sim_well(c->submit_at) ? 5 : 15));
    }
    return sim_is_beyond(c, 0) || sim_disturbed_since(c, c->reset_at - TOLD_MARGIN);
}

/* One of its keys, or of their groups' hashes, was not what it has to be. */
int sim_was_string_since(const sim_conn_t *c, apr_time_t t)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        if (key->is_string || key->hash_is_string || key->string_until >= t) {
            return 1;
        }
    }
    return 0;
}
