/* SPDX-License-Identifier: Apache-2.0
 *
 * What is right. The rules, each with the word that a failure of it is reported under:
 *
 *   tenant      an event is of the connection's tenant and of its endpoint's streams
 *   data        it is what was written, under its own id
 *   lost        `resumed` with an id of a tail that Redis has lost since, by an engine that saw that
 *   order       in each stream ids only rise: nothing at or below the position that the client
 *               brought or was given, unless it was told redis_reset
 *   skipped     an id line promises everything up to it: an entry that is still in Redis must have
 *               come before
 *   hole        the same for one that was trimmed or went with its key, unless a `reset` was told
 *               after it was removed. Single entries that were removed (XDEL) are no hole; nor is
 *               a tail that Redis lost, unless this engine has had it and has seen the loss
 *   undelivered an entry that is there has not come though the world was quiet and well for long
 *   untold      the same for one that was removed
 *   beyond      `resumed` with an id above all that Redis had since the client came
 *   verdict     a recovery or a reason that does not go with what was brought
 *   false       a `reset` for which there was no cause
 *   twice       a reader that was told, and came back with the id it got with that, is told again
 *               though nothing was removed since
 *   flood       on one connection: a third one though nothing was removed since the first
 *   last        RaglineStart last=N: fewer came than there were
 *   group       a group's position went by an entry that no client of the group was given
 *   silent      no heartbeat in time
 *   late        a client is not greeted, or not caught up, though all is well
 *
 * In a `reset` redis_reset, limit or unknown, and with `new`, everything up to the id told is
 * settled. With trimmed that is what was removed by then.
 */
#include <stdlib.h>

#include "log/rs_fetch.h"
#include "redis/rs_batch.h"
#include "sim.h"

/* The limits that may be argued about. */
#define REPLAY_LIMIT SEC(3)       /* all being well, a replay takes this and some round trips */
#define MEMORY_BYTES (256 * 1024) /* what an engine holds of a tenant if its cache is not small */
#define BEAT_SLACK SEC(1)         /* a heartbeat may be this late */
#define TOLD_MARGIN SEC(8)        /* what was told may have been found out so long before */
#define TROUBLE_MARGIN SEC(12)    /* Redis's trouble may show for so long */
#define GREET_LIMIT SEC(3)        /* all being well, a client knows its verdict by then */
#define RESETS_MAX 2              /* of one connection, nothing being removed meanwhile */

/* Of a group: from where on each entry has to be given to one of its clients. */
static struct {
    int open;
    int floor[SIM_PROFILE_KEYS];
    apr_time_t told_at;
} groups[SIM_PROFILES][SIM_TENANTS];
static apr_time_t trouble_at;

void sim_model_reset(void)
{
    memset(groups, 0, sizeof(groups));
    trouble_at = -SEC(100);
}

void sim_model_trouble(apr_time_t until) { trouble_at = until > trouble_at ? until : trouble_at; }

static int well(apr_time_t since) { return trouble_at + TROUBLE_MARGIN < since; }

/* --- endpoints and ids --- */

int sim_profile_keys(int profile, int tenant, int key[SIM_PROFILE_KEYS])
{
    int s, n = 0;

    for (s = 0; s < SIM_STREAMS && n < SIM_PROFILE_KEYS; s++) {
        if (sim_conf.pmask[profile] & sim_conf.streams & 1 << s) {
            key[n++] = s < SIM_OWN ? s : SIM_OWN + 2 * tenant + (s - SIM_OWN);
        }
    }
    return n;
}

static void cursor_of(int profile, rs_cursor_t *cursor, rs_cursor_tags_t *tags)
{
    int s;

    cursor->n = 0;
    cursor->tags = tags;
    for (s = 0; s < SIM_STREAMS && cursor->n < SIM_PROFILE_KEYS; s++) {
        if (sim_conf.pmask[profile] & sim_conf.streams & 1 << s) {
            rs_cursor_tags_add(tags, cursor->n++, sim_stream_key(s));
        }
    }
}

int sim_cursor_parse(int profile, const char *text, rs_id_t *pos)
{
    rs_cursor_tags_t tags;
    rs_cursor_t cursor;

    cursor_of(profile, &cursor, &tags);
    if (!rs_cursor_parse(&cursor, text, strlen(text))) {
        return 0;
    }
    memcpy(pos, cursor.pos, (size_t)cursor.n * sizeof(*pos));
    return 1;
}

void sim_cursor_format(char *text, int profile, const rs_id_t *pos)
{
    rs_cursor_tags_t tags;
    rs_cursor_t cursor;

    cursor_of(profile, &cursor, &tags);
    memcpy(cursor.pos, pos, (size_t)cursor.n * sizeof(*pos));
    rs_cursor_text(&cursor, text);
}

/* The first of the key's entries, in the order of adding, that a reader at `id` has not had: of the
 * present stream. */
int sim_index_above(int k, rs_id_t id)
{
    const sim_key_t *key = &sim_keys[k];
    int i, first = key->nall;

    for (i = key->nall - 1; i >= 0; i--) {
        const sim_entry_t *e = &sim_entries[key->all[i]];

        if (e->epoch != key->epoch && e->how != SIM_PRESENT) {
            continue;
        }
        if (rs_id_cmp(e->id, id) <= 0) {
            break;
        }
        first = i;
    }
    return first;
}

/* --- causes --- */

static int disturbed_since(const sim_conn_t *c, apr_time_t t)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (sim_keys[c->key[k]].disturbed_at >= t || sim_keys[c->key[k]].is_string) {
            return 1;
        }
    }
    return 0;
}

static int removed_since(const sim_conn_t *c, apr_time_t t)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (sim_keys[c->key[k]].removed_at >= t) {
            return 1;
        }
    }
    return disturbed_since(c, t);
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

    if (disturbed_since(c, t)) {
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
static int is_beyond(const sim_conn_t *c, int both)
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

static int above(const sim_conn_t *c, const int *next)
{
    int k, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].nall - next[k];
    }
    return n;
}

/* How many entries up to its position its engine has not come to. */
static int not_read_yet(const sim_conn_t *c)
{
    int k, i, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        const sim_stream_t *s = &sim_keys[c->key[k]].s;

        for (i = sim_redis_above(c->key[k], c->pos[k]) - 1;
             i >= s->start && !(sim_entries[s->uid[i]].read_by & 1 << c->engine); i--) {
            n++;
        }
    }
    return n;
}

/* --- what was passed by --- */

static const char *id_text(rs_id_t id)
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

/* After it was trimmed, and before more came, the stream was empty and its newest entry deleted:
 * taken for a queue whose worker is fast. */
static int is_worked_off(const sim_key_t *key, const sim_entry_t *e)
{
    apr_time_t latest = e->removed_at;
    int i;

    for (i = (int)e->index; i < key->nall; i++) {
        const sim_entry_t *x = &sim_entries[key->all[i]];

        if (x->how == SIM_PRESENT || x->epoch != e->epoch) {
            return 0;
        }
        latest = x->removed_at > latest ? x->removed_at : latest;
        if (x->how == SIM_XDELETED
            && (i + 1 == key->nall || latest <= sim_entries[key->all[i + 1]].added_at)) {
            return 1;
        }
    }
    return 0;
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

/* Whether this entry, which the connection has not had, had to come or to be told. */
static int is_owed(const sim_conn_t *c, int k, const sim_entry_t *e)
{
    if ((c->choosing && e->added_at < c->connected_at)
        || (e->removed_at >= 0 && e->removed_at <= c->stood_at)) {
        return 0;
    }
    switch (e->how) {
    case SIM_PRESENT:
        if (sim_count_put_back(&sim_engines[c->engine], e)) {
            return 0; /* to whom that matters, it is told when that is seen */
        }
        /* In a stream that was replaced, below the position: only who saw that can know. */
        if (c->told_at >= e->added_at && !well(c->told_at)) {
            return 0; /* the key was not to be read: what it held then is said to be missing */
        }
        if (rs_id_cmp(e->id, c->pos[k]) > 0) {
            return 1;
        }
        return !sim_conf.redis6 && sim_engines[c->engine].saw_loss[c->key[k]] >= (int)e->epoch;
    case SIM_KEY_GONE:
        if (sim_count_hides(&sim_engines[c->engine], e)) {
            return 0;
        }
        if (rs_id_cmp(c->pos[k], sim_engines[c->engine].born[c->key[k]]) == 0) {
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
        if (is_worked_off(&sim_keys[c->key[k]], e)) {
            return 0;
        }
        if (e->epoch != sim_keys[c->key[k]].epoch
            && (!was_looked_at(c, k, e)
                || rs_id_cmp(c->pos[k], sim_engines[c->engine].born[c->key[k]]) == 0)) {
            return 0;
        }
        return c->told_at < e->removed_at;
    case SIM_LOST:
        /* Those who were told stand where what is left ends: who stood there is as they are. */
        if (rs_id_cmp(c->pos[k], sim_engines[c->engine].born[c->key[k]]) == 0) {
            return 0;
        }
        return (e->read_by & 1 << c->engine) && c->told_at < e->removed_at
               && sim_engines[c->engine].saw_loss[c->key[k]] > (int)e->epoch;
    default:
        return 0;
    }
}

static void pass(sim_conn_t *c, int k, int to, const char *class)
{
    const sim_key_t *key = &sim_keys[c->key[k]];

    for (; c->next[k] < to; c->next[k]++) {
        const sim_entry_t *e = &sim_entries[key->all[c->next[k]]];

        if (e->tenant == c->tenant && is_owed(c, k, e)) {
            if (!*class && e->how != SIM_PRESENT && c->gone) {
                c->debt = 1;
                continue;
            }
            sim_fail(*class                  ? class
                     : e->how == SIM_PRESENT ? "skipped"
                                             : "hole",
                     "c%d at e%d: %s %s of %s (n %d), %s, went by untold", c->client, c->engine,
                     key->name, id_text(e->id), sim_tenant(e->tenant), key->all[c->next[k]],
                     how_text(e));
            return;
        }
    }
}

/* The same for what was gone when it was passed by, and is there again, above the position. */
static void pass_put_back(sim_conn_t *c, int k, rs_id_t to)
{
    const sim_stream_t *s = &sim_keys[c->key[k]].s;
    int i;

    for (i = sim_redis_above(c->key[k], c->pos[k]); i < s->end; i++) {
        const sim_entry_t *e = &sim_entries[s->uid[i]];

        if ((int)e->index >= c->next[k] || rs_id_cmp(e->id, to) > 0) {
            return;
        }
        if (e->tenant == c->tenant && is_owed(c, k, e)) {
            sim_fail("skipped", "c%d at e%d: %s %s (n %d), which was put back, went by untold",
                     c->client, c->engine, sim_keys[c->key[k]].name, id_text(e->id), s->uid[i]);
            return;
        }
    }
}

/* An id line: everything up to this position was given or told. */
static void raise_position(sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        int to = c->next[k];

        if (rs_id_cmp(pos[k], c->pos[k]) < 0) {
            sim_fail("order", "c%d at e%d: its id goes back in %s from %s to %s", c->client,
                     c->engine, key->name, id_text(c->pos[k]), id_text(pos[k]));
        }
        while (to < key->nall && rs_id_cmp(sim_entries[key->all[to]].id, pos[k]) <= 0
               && rs_id_cmp(sim_entries[key->all[to]].id, c->pos[k]) > 0) {
            to++;
        }
        pass_put_back(c, k, pos[k]);
        pass(c, k, to, "");
        c->pos[k] = pos[k];
    }
}

/* Everything up to here is settled, and what comes is above it. */
static void stand_at(sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        c->pos[k] = pos[k];
        c->next[k] = sim_index_above(c->key[k], pos[k]);
    }
    c->stood_at = sim_now;
}

static void told(sim_conn_t *c)
{
    if (c->told_at >= 0 && !removed_since(c, c->told_at - TOLD_MARGIN)
        && ++c->resets > RESETS_MAX) {
        sim_fail("flood", "c%d at e%d: told of a gap again and again", c->client, c->engine);
    }
    c->told_at = sim_now;
}

/* --- frames --- */

static int json_word(const sim_frame_t *f, const char *name, char *to, size_t size)
{
    char with[40];
    const char *at, *end;

    snprintf(with, sizeof(with), "\"%s\":\"", name);
    at = strstr(f->data, with);
    to[0] = '\0';
    if (!at) {
        return 0;
    }
    at += strlen(with);
    end = strchr(at, '"');
    if (!end || (size_t)(end - at) >= size) {
        return 0;
    }
    memcpy(to, at, (size_t)(end - at));
    to[end - at] = '\0';
    return 1;
}

/* RaglineStart last=N: which entry is the oldest that has to come. */
static void expect_last(sim_conn_t *c)
{
    int k, n = 0, i, all = 0;

    for (k = 0; k < c->nkeys; k++) {
        const sim_stream_t *s = &sim_keys[c->key[k]].s;

        all += s->end - s->start;
        for (i = s->end - 1; i >= s->start; i--) {
            /* What the engine has not read yet comes as new. */
            n += sim_entries[s->uid[i]].tenant == c->tenant
                 && (sim_entries[s->uid[i]].read_by & 1 << c->engine)
                 && sim_entries[s->uid[i]].added_at < c->submit_at - SEC(2);
        }
    }
    n = all > sim_conf.plimit[c->profile] ? 0 : n;
    c->wanted_last = n < sim_conf.plast[c->profile] ? n : sim_conf.plast[c->profile];
}

static void group_starts(sim_conn_t *c)
{
    int g = c->profile, k, i;

    sim_stats[SIM_S_GROUP_STARTS]++;
    for (k = 0; k < c->nkeys && groups[g][c->tenant].open; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = groups[g][c->tenant].floor[k]; i < c->next[k]; i++) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->tenant == c->tenant && !(e->accepted & 1 << g)
                && (e->how == SIM_PRESENT
                    || (e->how == SIM_TRIMMED && e->removed_at > groups[g][c->tenant].told_at))
                && key->disturbed_at < 0) {
                sim_fail("group", "c%d at e%d: starts at %s, but %s %s (n %d) was given to nobody",
                         c->client, c->engine, id_text(c->pos[k]), key->name, id_text(e->id),
                         key->all[i]);
                return;
            }
        }
    }
}

/* Who brings an id has had what is before, in the group's name. */
static void group_raise(const sim_conn_t *c)
{
    int k;

    if (!sim_conf.pgroup[c->profile]) {
        return;
    }
    for (k = 0; k < c->nkeys; k++) {
        int *level = &groups[c->profile][c->tenant].floor[k];

        if (!groups[c->profile][c->tenant].open) {
            /* It begins where the engine has read; what an older id brings is for that client. */
            *level = sim_index_above(c->key[k], sim_engines[c->engine].max_seen[c->key[k]]);
        }
        if (*level < c->next[k]) {
            *level = c->next[k];
        }
    }
    groups[c->profile][c->tenant].open = 1;
}

/* Told of what is missing: whatever the group has not had up to here is settled. */
static void group_settles(const sim_conn_t *c)
{
    groups[c->profile][c->tenant].told_at = c->told_at;
    group_raise(c);
}

static void is_new(sim_conn_t *c, const rs_id_t *pos)
{
    sim_stats[SIM_S_NEW]++;
    if (c->brought != SIM_NO_ID) {
        sim_fail("verdict", "c%d at e%d: brought an id and is new", c->client, c->engine);
    }
    stand_at(c, pos);
    group_settles(c);
    if (sim_conf.plast[c->profile]) {
        c->replay = c->choosing = 1;
        expect_last(c);
    }
}

/* The newest entry that it has had is lost, and this engine knows. */
static void check_lost(const sim_conn_t *c)
{
    int k;

    for (k = 0; k < c->nkeys && !c->hold.made_up; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        const sim_entry_t *e =
            c->hold.next[k] > 0 ? &sim_entries[key->all[c->hold.next[k] - 1]] : NULL;

        if (e && e->how == SIM_LOST && e->removed_at > c->hold.at
            && sim_engines[c->engine].saw_loss[c->key[k]] > (int)e->epoch) {
            sim_fail("lost", "c%d at e%d: resumed with %s, but Redis has lost what it had",
                     c->client, c->engine, c->hold.text);
        }
    }
}

static void is_resumed(sim_conn_t *c, const rs_id_t *pos)
{
    int k;

    sim_stats[SIM_S_RESUMED]++;
    c->replay = 1;
    if (c->brought == SIM_GARBAGE || (c->brought == SIM_NO_ID && !sim_conf.pgroup[c->profile])) {
        sim_fail("verdict", "c%d at e%d: is resumed with '%s'", c->client, c->engine, c->hold.text);
    }
    if (c->brought == SIM_NO_ID) {
        stand_at(c, pos);
        group_starts(c);
        return;
    }
    for (k = 0; k < c->nkeys; k++) {
        c->pos[k] = c->hold.pos[k];
        c->next[k] = c->hold.next[k];
    }
    c->told_at = c->hold.told_at;
    if (c->brought == SIM_ID && c->hold.debt) {
        sim_fail("hole", "c%d at e%d: resumed with %s, in front of which something was removed",
                 c->client, c->engine, c->hold.text);
    }
    if (is_beyond(c, 1) && !disturbed_since(c, c->submit_at - SEC(4))) {
        sim_fail("beyond", "c%d at e%d: resumed with %s, which is above all that there is",
                 c->client, c->engine, c->hold.text);
    }
    check_lost(c);
    group_raise(c);
    raise_position(c, pos);
}

/* Below what a lost tail left, it goes on from its own place, and is told until it is there. */
static int is_below_lost(const sim_conn_t *c)
{
    int k, i;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = key->nall - 1; i >= 0; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->how == SIM_LOST && rs_id_cmp(e->id, c->hold.pos[k]) > 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* Whether what is said again was said before: nothing was removed since. */
static void check_told_once(sim_conn_t *c, const char *reason)
{
    if (is_below_lost(c)) {
        return;
    }
    if (c->brought == SIM_ID && c->hold.told_at >= 0 && !sim_conf.redis6
        && !removed_since(c, c->hold.told_at - TOLD_MARGIN)) {
        sim_fail("twice", "c%d at e%d: reset %s again with %s, which it got when it was told",
                 c->client, c->engine, reason, c->hold.text);
    }
}

/* Whether the engine has in memory what this client has missed: another one of the tenant, at the
 * same endpoint, has been there since before, all was well, and nothing went by unread. */
static int is_held(const sim_conn_t *c)
{
    const sim_conn_t *o;
    size_t bytes = 0;
    int k, i;

    if (c->brought != SIM_ID || sim_conf.cache_kb < 4096 || !well(c->hold.at)) {
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

static void check_cause(sim_conn_t *c, const char *reason)
{
    int ok;

    if (strcmp(reason, "trimmed") == 0) {
        ok = c->brought == SIM_NO_ID || c->hold.made_up || sim_conf.redis6
             || (may_be_trimmed(c, c->hold.pos) && (disturbed_since(c, 0) || !is_held(c)));
        check_told_once(c, reason);
    }
    else if (strcmp(reason, "limit") == 0) {
        ok = c->brought == SIM_NO_ID || above(c, c->hold.next) > sim_conf.plimit[c->profile]
             || disturbed_since(c, 0);
    }
    else {
        ok = c->brought == SIM_NO_ID
             || disturbed_since(c, c->hold.made_up ? 0 : c->hold.at - SEC(60)) || is_beyond(c, 0)
             || is_below_lost(c);
        check_told_once(c, reason);
    }
    if (!ok) {
        sim_fail("false", "c%d at e%d: reset %s with %s, for no cause", c->client, c->engine,
                 reason, c->hold.text);
    }
}

static void is_reset(sim_conn_t *c, const char *reason, const rs_id_t *pos)
{
    int k;

    c->replay = 1;
    if ((c->brought == SIM_GARBAGE) != (strcmp(reason, "unknown") == 0)
        || (c->brought == SIM_NO_ID && !sim_conf.pgroup[c->profile])) {
        sim_fail("verdict", "c%d at e%d: reset %s with '%s'", c->client, c->engine, reason,
                 c->brought == SIM_NO_ID ? "" : c->hold.text);
    }
    sim_stats[reason[0] == 't'   ? SIM_S_TRIMMED
              : reason[0] == 'l' ? SIM_S_LIMIT
              : reason[0] == 'r' ? SIM_S_REDIS_RESET
                                 : SIM_S_UNKNOWN]++;
    if (c->brought != SIM_GARBAGE) {
        check_cause(c, reason);
    }
    if (strcmp(reason, "trimmed") == 0 && c->brought == SIM_ID) {
        for (k = 0; k < c->nkeys; k++) {
            int next = sim_index_above(c->key[k], c->hold.pos[k]);

            c->pos[k] = c->hold.pos[k];
            c->next[k] = next < c->hold.next[k] ? next : c->hold.next[k];
        }
        c->told_at = sim_now;
        raise_position(c, pos);
    }
    else {
        stand_at(c, pos);
    }
    c->told_at = sim_now;
    if (c->brought != SIM_GARBAGE) {
        group_settles(c);
    }
}

static void connected(sim_conn_t *c, const sim_frame_t *f)
{
    char recovery[16], reason[16];
    rs_id_t pos[SIM_PROFILE_KEYS];

    if (c->connected) {
        sim_fail("verdict", "c%d: connected twice", c->client);
    }
    c->connected = 1;
    c->connected_at = sim_now;
    if (!json_word(f, "recovery", recovery, sizeof(recovery)) || !f->has_id || !f->retry
        || !sim_cursor_parse(c->profile, f->id, pos)) {
        sim_fail("malformed", "c%d: connected without what it needs: %s", c->client, f->data);
        return;
    }
    json_word(f, "reason", reason, sizeof(reason));
    TRACE("c%d: connected %s %s id %s", c->client, recovery, reason, f->id);
    if (sim_fault == SIM_FAULT_RESUMED && strcmp(reason, "trimmed") == 0) {
        strcpy(recovery, "resumed");
    }
    if (strcmp(recovery, "new") == 0) {
        is_new(c, pos);
    }
    else if (strcmp(recovery, "resumed") == 0) {
        is_resumed(c, pos);
    }
    else {
        is_reset(c, reason, pos);
    }
    memcpy(c->start, c->pos, sizeof(c->start));
    c->behind = above(c, c->next);
    c->ahead = not_read_yet(c);
}

/* The entry of this id in one of the connection's streams. */
static int find(const sim_conn_t *c, const rs_id_t *pos, int uid)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (c->key[k] == sim_entries[uid].key && rs_id_cmp(pos[k], sim_entries[uid].id) == 0) {
            return k;
        }
    }
    return -1;
}

/* What was to be told behind an event has to come next. */
static void check_debt(const sim_conn_t *c)
{
    if (c->debt) {
        sim_fail("hole", "c%d at e%d: what was removed in front of its last events went by untold",
                 c->client, c->engine);
    }
}

static void got(sim_conn_t *c, int k, int uid, const rs_id_t *pos)
{
    sim_entry_t *e = &sim_entries[uid];
    int i;

    c->gone = e->how != SIM_PRESENT;
    if (!c->gone) {
        check_debt(c);
    }
    c->events++;
    if (c->floating) {
        c->floating = 0;
        stand_at(c, pos);
        c->next[k] = (int)e->index;
        for (i = 0; i < c->nkeys; i++) {
            c->pos[i] = i == k ? rs_id_before(e->id) : c->pos[i];
        }
    }
    if (e->tenant != c->tenant) {
        sim_fail("tenant", "c%d at e%d: %s's event of %s", c->client, c->engine,
                 sim_tenant(e->tenant), sim_keys[e->key].name);
    }
    if (e->how != SIM_PRESENT && e->epoch != sim_keys[e->key].epoch
        && rs_id_cmp(e->id, c->pos[k]) > 0 && (int)e->index < c->next[k]) {
        c->pos[k] = e->id; /* of a stream that is no more: that it still comes does no harm */
        raise_position(c, pos);
        return;
    }
    if (rs_id_cmp(e->id, c->pos[k]) > 0 && (int)e->index < c->next[k] && e->how == SIM_PRESENT
        && e->put_back) {
        pass_put_back(c, k, rs_id_before(e->id));
        c->pos[k] = e->id;
        raise_position(c, pos);
        return;
    }
    if ((int)e->index < c->next[k]) {
        sim_fail("order", "c%d at e%d: %s %s (n %d) comes again, or too late", c->client, c->engine,
                 sim_keys[e->key].name, id_text(e->id), uid);
        return;
    }
    if (rs_id_cmp(e->id, c->pos[k]) <= 0) {
        sim_fail("order", "c%d at e%d: %s %s (n %d) is not above its position %s", c->client,
                 c->engine, sim_keys[e->key].name, id_text(e->id), uid, id_text(c->pos[k]));
        return;
    }
    pass(c, k, (int)e->index, "");
    c->next[k] = (int)e->index + 1;
    if (sim_conf.pgroup[c->profile]) {
        e->accepted |= (uint8_t)(1 << c->profile);
    }
    c->pos[k] = e->id;
    raise_position(c, pos);
    c->gone = 0;
}

static void event(sim_conn_t *c, const sim_frame_t *f)
{
    rs_id_t pos[SIM_PROFILE_KEYS];
    int uid = -1, k;
    static char want[512];

    sim_stats[SIM_S_EVENTS]++;
    if (strncmp(f->data, "{\"n\":", 5) == 0) {
        uid = atoi(f->data + 5);
    }
    if (sim_fault == SIM_FAULT_TENANT) {
        for (uid = 0; uid + 1 < sim_nentries && sim_entries[uid].tenant == c->tenant; uid++) {
        }
    }
    if (uid < 0 || uid >= sim_nentries || !f->has_id || !sim_cursor_parse(c->profile, f->id, pos)) {
        sim_fail("data", "c%d: an event of nobody: %.60s", c->client, f->data);
        return;
    }
    TRACE("c%d: n %d, id %s", c->client, uid, f->id);
    if (sim_entries[uid].tenant != c->tenant) {
        sim_fail("tenant", "c%d: gets n %d of another tenant", c->client, uid);
        return;
    }
    k = find(c, pos, uid);
    if (k < 0 || f->data_len != sim_payload(NULL, uid)) {
        sim_fail("data", "c%d: n %d under id %s, %zu bytes", c->client, uid, f->id, f->data_len);
        return;
    }
    if (f->data_len < sizeof(want)) {
        sim_payload(want, uid);
        if (memcmp(want, f->data, f->data_len) != 0) {
            sim_fail("data", "c%d: n %d is not what it was: %.80s", c->client, uid, f->data);
            return;
        }
    }
    got(c, k, uid, pos);
}

/* The entry that this id is of, in streams whose position it moves, or in any; that is there, or
 * was. */
static int find_too_big(const sim_conn_t *c, const rs_id_t *pos, int moved, int there, int *k)
{
    int i;

    for (*k = 0; *k < c->nkeys; ++*k) {
        const sim_key_t *key = &sim_keys[c->key[*k]];

        if (moved && rs_id_cmp(pos[*k], c->pos[*k]) == 0) {
            continue;
        }
        for (i = key->nall - 1; i >= 0; i--) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (rs_id_cmp(e->id, pos[*k]) == 0 && (int)e->size > sim_conf.max_message
                && e->tenant == c->tenant && (!there || e->how == SIM_PRESENT)) {
                return key->all[i];
            }
        }
    }
    return -1;
}

/* In the place of an entry: which one, its id tells. */
static void too_big(sim_conn_t *c, const rs_id_t *pos)
{
    int k, uid = find_too_big(c, pos, 1, 1, &k);

    sim_stats[SIM_S_TOO_BIG]++;
    if (uid < 0) {
        uid = find_too_big(c, pos, 1, 0, &k);
    }
    if (uid < 0) {
        uid = find_too_big(c, pos, 0, 0, &k);
    }
    if (uid < 0) {
        sim_fail("verdict", "c%d at e%d: reset too_big, but there is no such entry", c->client,
                 c->engine);
        return;
    }
    got(c, k, uid, pos);
}

static int may_be_reset(const sim_conn_t *c, const char *reason)
{
    if (strcmp(reason, "trimmed") == 0) {
        return sim_conf.redis6 || !well(sim_now) || may_be_trimmed(c, c->pos)
               || gap_since(c, c->told_at < 0 ? c->submit_at - SEC(5) : c->told_at - TOLD_MARGIN);
    }
    if (strcmp(reason, "limit") == 0) { /* a cache was full, so the way back was not measured */
        return c->replay
               && (c->brought == SIM_NO_ID || disturbed_since(c, 0)
                   || above(c, c->hold.next) > sim_conf.plimit[c->profile]);
    }
    return is_beyond(c, 0)
           || disturbed_since(c,
                              c->told_at < 0 ? c->connected_at - SEC(5) : c->told_at - TOLD_MARGIN);
}

static void reset(sim_conn_t *c, const sim_frame_t *f)
{
    rs_id_t pos[SIM_PROFILE_KEYS];
    char reason[16];

    if (!json_word(f, "reason", reason, sizeof(reason)) || !f->has_id
        || !sim_cursor_parse(c->profile, f->id, pos)) {
        sim_fail("malformed", "c%d: a reset without what it needs: %s", c->client, f->data);
        return;
    }
    TRACE("c%d: reset %s, id %s", c->client, reason, f->id);
    if (strcmp(reason, "too_big") == 0) {
        too_big(c, pos);
        return;
    }
    sim_stats[reason[0] == 't'   ? SIM_S_MID_TRIMMED
              : reason[0] == 'l' ? SIM_S_MID_LIMIT
                                 : SIM_S_MID_REDIS_RESET]++;
    if (!may_be_reset(c, reason)) {
        sim_fail("false", "c%d at e%d: reset %s at %s, for no cause", c->client, c->engine, reason,
                 f->id);
    }
    told(c);
    c->debt = 0;
    if (reason[0] == 't') {
        raise_position(c, pos);
    }
    else {
        stand_at(c, pos);
        c->floating = 1;
    }
    group_settles(c);
}

static void ours(sim_conn_t *c, const sim_frame_t *f)
{
    rs_id_t pos[SIM_PROFILE_KEYS];

    if (!f->has_id || !sim_cursor_parse(c->profile, f->id, pos)) {
        sim_fail("malformed", "c%d: %s with id '%s'", c->client, f->type, f->id);
        return;
    }
    if (c->floating) {
        c->floating = 0;
        stand_at(c, pos);
    }
    raise_position(c, pos);
}

static void caught_up(sim_conn_t *c, const sim_frame_t *f)
{
    sim_stats[SIM_S_CAUGHT_UP]++;
    TRACE("c%d: caught up, id %s", c->client, f->id);
    if (!c->replay || c->caught_up) {
        sim_fail("verdict", "c%d: caught_up without a replay", c->client);
    }
    c->caught_up = 1;
    ours(c, f);
    c->choosing = 0;
    if (c->events < c->wanted_last && c->told_at < 0 && !removed_since(c, c->submit_at)) {
        sim_fail("last", "c%d at e%d: %ld events, of %d that there were", c->client, c->engine,
                 c->events, c->wanted_last);
    }
}

static int hash_refuses(const sim_conn_t *c)
{
    int k, refuses = 0;

    for (k = 0; k < c->nkeys; k++) {
        refuses |= sim_keys[c->key[k]].hash_is_string;
    }
    return refuses;
}

static void error(sim_conn_t *c, const sim_frame_t *f)
{
    char code[24];

    c->ended = 1;
    json_word(f, "code", code, sizeof(code));
    TRACE("c%d: error %s", c->client, code);
    if (strcmp(code, "redis_unavailable") == 0) {
        sim_stats[SIM_S_UNAVAILABLE]++;
        if (well(c->submit_at) && !disturbed_since(c, c->submit_at - SEC(5)) && !hash_refuses(c)) {
            sim_fail("verdict", "c%d at e%d: redis_unavailable, but it is", c->client, c->engine);
        }
    }
    else if (strcmp(code, "draining") == 0) {
        sim_stats[SIM_S_DRAINING]++;
    }
    else if (strcmp(code, "slow_consumer") == 0) {
        sim_stats[SIM_S_SLOW]++;
    }
    else {
        sim_fail("verdict", "c%d at e%d: error %s", c->client, c->engine, code);
    }
}

void sim_model_frame(sim_conn_t *c, sim_frame_t *f)
{
    if (sim_failed) {
        return;
    }
    if (c->ended) {
        sim_fail("malformed", "c%d: more after the end", c->client);
    }
    if (strcmp(f->type, "connected") == 0) {
        connected(c, f);
    }
    else if (strcmp(f->type, "error") == 0) {
        error(c, f);
    }
    else if (!c->connected) {
        sim_fail("malformed", "c%d: %s before connected", c->client, f->type);
    }
    else if (f->comment[0] || strcmp(f->type, "heartbeat") == 0) {
        sim_stats[SIM_S_HEARTBEATS]++;
        check_debt(c);
        ours(c, f);
    }
    else if (strcmp(f->type, "caught_up") == 0) {
        check_debt(c);
        caught_up(c, f);
    }
    else if (strcmp(f->type, "reset") == 0) {
        reset(c, f);
    }
    else if (sim_fault == SIM_FAULT_DROP && c->events == 2) {
        c->events++;
    }
    else {
        event(c, f);
        if (sim_fault == SIM_FAULT_TWICE && c->events == 3) {
            event(c, f);
        }
    }
}

void sim_model_hold(const sim_conn_t *c, const char *text, sim_hold_t *h)
{
    int k;

    strcpy(h->text, text);
    h->made_up = 0;
    h->at = sim_now;
    h->told_at = c->told_at;
    h->debt = c->debt;
    for (k = 0; k < c->nkeys; k++) {
        h->pos[k] = c->pos[k];
        h->next[k] = c->next[k];
    }
    sim_cursor_parse(c->profile, text, h->pos);
}

void sim_model_submit(sim_conn_t *c)
{
    int k;

    c->submit_at = c->out_at = c->reading_since = sim_now;
    c->told_at = c->stood_at = -1;
    for (k = 0; k < c->nkeys; k++) {
        c->last_at_submit[k] = sim_keys[c->key[k]].s.last;
    }
}

void sim_model_closed(sim_conn_t *c)
{
    /* What its socket had taken, the group has had: where that ends is not known here. */
    if (c->unread && sim_conf.pgroup[c->profile]) {
        groups[c->profile][c->tenant].open = 0;
    }
    if (!c->connected && !c->ended && !c->peer_closed && !sim_engines[c->engine].gone
        && !sim_engines[c->engine].draining) {
        sim_fail("verdict", "c%d at e%d: closed without a word", c->client, c->engine);
    }
}

/* --- in time --- */

/* How long the questions for so many entries may take, with so many bytes in an answer at most:
 * of large entries few come at once. */
static apr_time_t reading_time(const sim_conn_t *c, int n, size_t bytes, size_t max)
{
    apr_time_t round = 2 * sim_conf.lat_us;
    size_t most = 1, fit;
    int i, k;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        round += sim_conf.split ? 2 * sim_conf.lat_us : 0;
        for (i = 0; i < key->nall; i++) {
            most = sim_entries[key->all[i]].size > most ? sim_entries[key->all[i]].size : most;
        }
    }
    fit = bytes / most / (size_t)c->nkeys;
    fit = fit < 1 ? 1 : fit > max ? max : fit;
    return (apr_time_t)((size_t)n / fit) * round;
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

/* Ahead of its engine, it waits until that has come as far, which looks after each read. */
static apr_time_t replay_time(const sim_conn_t *c)
{
    return reading_time(c, c->behind, RS_FETCH_BYTES, 64) * readers(c)
           + reading_time(c, c->ahead, RS_BATCH_BYTES, (size_t)sim_conf.batch) * 2;
}

/* The pass that it came too late for, and its own. */
static apr_time_t greet_time(const sim_conn_t *c)
{
    int k, n = 0;

    for (k = 0; k < c->nkeys; k++) {
        n += sim_keys[c->key[k]].s.end - sim_keys[c->key[k]].s.start;
    }
    return 2 * reading_time(c, n, RS_BATCH_BYTES, 512) * readers(c);
}

/* The clock is about to move on: nobody has anything to do at this moment. */
void sim_model_tick(void)
{
    int i;

    for (i = 0; i < sim_conns_used; i++) {
        const sim_conn_t *c = &sim_conns[i];
        apr_time_t since, beat;

        if (!c->used || c->closed || c->peer_closed || c->ended || sim_clients[c->client].lag) {
            continue;
        }
        beat = MSEC(sim_conf.pbeat_ms[c->profile]);
        since = c->out_at > c->reading_since ? c->out_at : c->reading_since;
        if (c->connected && beat && sim_now > since + beat + BEAT_SLACK) {
            sim_fail("silent", "c%d at e%d: nothing since %.3f s, heartbeats are every %.3f s",
                     c->client, c->engine, (double)(sim_now - since) / 1e6, (double)beat / 1e6);
        }
        if (c->connected && c->replay && !c->caught_up && well(c->submit_at)
            && c->reading_since <= c->connected_at
            && sim_now > c->connected_at + REPLAY_LIMIT
            && sim_now > c->connected_at + REPLAY_LIMIT + replay_time(c)) {
            sim_fail("late", "c%d at e%d: not caught up after %.3f s, %d behind", c->client,
                     c->engine, (double)(sim_now - c->connected_at) / 1e6, c->behind);
        }
        if (!c->connected && sim_now > c->submit_at + GREET_LIMIT && well(c->submit_at)
            && sim_now > c->submit_at + GREET_LIMIT + greet_time(c)) {
            sim_fail("late", "c%d at e%d: not greeted after %.3f s", c->client, c->engine,
                     (double)(sim_now - c->submit_at) / 1e6);
        }
    }
}

void sim_model_settled(void)
{
    int i, k;

    sim_stats[SIM_S_SETTLES]++;
    for (i = 0; i < sim_conns_used && !sim_failed; i++) {
        sim_conn_t *c = &sim_conns[i];

        if (!c->used || c->closed || c->peer_closed || c->ended) {
            continue;
        }
        if (!c->connected || (c->replay && !c->caught_up)) {
            sim_fail("late", "c%d at e%d: %s, though all is well", c->client, c->engine,
                     c->connected ? "not caught up" : "not greeted");
            return;
        }
        for (k = 0; k < c->nkeys; k++) {
            const sim_key_t *key = &sim_keys[c->key[k]];
            int n = c->next[k];

            while (n < key->nall
                   && !(sim_entries[key->all[n]].tenant == c->tenant
                        && is_owed(c, k, &sim_entries[key->all[n]]))) {
                n++;
            }
            if (n < key->nall) {
                pass(c, k, key->nall,
                     sim_entries[key->all[n]].how == SIM_PRESENT ? "undelivered" : "untold");
            }
        }
    }
}
