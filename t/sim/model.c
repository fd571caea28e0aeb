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
 *   stuck       it stays behind what one has that began where the group was, or before
 *   silent      no heartbeat in time
 *   late        a client is not greeted, or not caught up, though all is well
 *
 * In a `reset` redis_reset, limit or unknown, and with `new`, everything up to the id told is
 * settled. With trimmed that is what was removed by then.
 */
#include <stdlib.h>

#include "model.h"

#define REFUSED_MARGIN SEC(2) /* what Redis refuses is asked for again after a second */

void sim_model_reset(void)
{
    sim_backlog_reset();
    sim_trouble_reset();
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

static void got(sim_conn_t *c, int k, int uid, const rs_id_t *pos)
{
    sim_entry_t *e = &sim_entries[uid];
    int i;

    c->gone = e->how != SIM_PRESENT;
    if (!c->gone) {
        sim_check_debt(c);
    }
    c->events++;
    if (c->floating) {
        c->floating = 0;
        sim_stand_at(c, pos);
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
        sim_raise_position(c, pos);
        return;
    }
    if (rs_id_cmp(e->id, c->pos[k]) > 0 && (int)e->index < c->next[k] && e->how == SIM_PRESENT
        && e->put_back) {
        sim_pass_put_back(c, k, rs_id_before(e->id));
        c->pos[k] = e->id;
        sim_raise_position(c, pos);
        return;
    }
    if ((int)e->index < c->next[k]) {
        sim_fail("order", "c%d at e%d: %s %s (n %d) comes again, or too late", c->client, c->engine,
                 sim_keys[e->key].name, sim_id_text(e->id), uid);
        return;
    }
    if (rs_id_cmp(e->id, c->pos[k]) <= 0) {
        sim_fail("order", "c%d at e%d: %s %s (n %d) is not above its position %s", c->client,
                 c->engine, sim_keys[e->key].name, sim_id_text(e->id), uid, sim_id_text(c->pos[k]));
        return;
    }
    sim_pass(c, k, (int)e->index, "");
    c->next[k] = (int)e->index + 1;
    if (sim_conf.pgroup[c->profile]) {
        e->accepted |= (uint8_t)(1 << c->profile);
    }
    c->pos[k] = e->id;
    sim_raise_position(c, pos);
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

static void reset(sim_conn_t *c, const sim_frame_t *f)
{
    rs_id_t pos[SIM_PROFILE_KEYS];
    char reason[16];
    int k;

    if (!sim_json_word(f, "reason", reason, sizeof(reason)) || !f->has_id
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
    if (!sim_may_be_reset(c, reason, pos)) {
        sim_fail("false", "c%d at e%d: reset %s at %s, for no cause", c->client, c->engine, reason,
                 f->id);
    }
    sim_told(c);
    c->debt = 0;
    if (reason[0] == 't') {
        sim_raise_position(c, pos);
    }
    else {
        c->reset_at = sim_now;
        sim_stand_at(c, pos);
        c->floating = 1;
        for (k = 0; k < c->nkeys; k++) {
            c->last_when_told[k] = sim_keys[c->key[k]].s.last;
        }
    }
    sim_backlog_settles(c);
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
        sim_stand_at(c, pos);
    }
    sim_raise_position(c, pos);
}

static void caught_up(sim_conn_t *c, const sim_frame_t *f)
{
    sim_stats[SIM_S_CAUGHT_UP]++;
    TRACE("c%d: caught up, id %s", c->client, f->id);
    if (!c->replay || c->caught_up) {
        sim_fail("verdict", "c%d: caught_up without a replay", c->client);
    }
    c->caught_up = sim_now;
    ours(c, f);
    c->choosing = 0;
    if (c->events < c->wanted_last && c->told_at < 0 && !sim_removed_since(c, c->submit_at)) {
        sim_fail("last", "c%d at e%d: %ld events, of %d that there were", c->client, c->engine,
                 c->events, c->wanted_last);
    }
}

static void error(sim_conn_t *c, const sim_frame_t *f)
{
    char code[24];

    c->ended = 1;
    sim_json_word(f, "code", code, sizeof(code));
    TRACE("c%d: error %s", c->client, code);
    if (strcmp(code, "redis_unavailable") == 0) {
        sim_stats[SIM_S_UNAVAILABLE]++;
        if (sim_well(c->submit_at) && !sim_disturbed_since(c, c->submit_at - SEC(5))
            && !sim_was_string_since(c, c->submit_at - REFUSED_MARGIN)) {
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
        sim_connected(c, f);
    }
    else if (strcmp(f->type, "error") == 0) {
        error(c, f);
    }
    else if (!c->connected) {
        sim_fail("malformed", "c%d: %s before connected", c->client, f->type);
    }
    else if (f->comment[0] || strcmp(f->type, "heartbeat") == 0) {
        sim_stats[SIM_S_HEARTBEATS]++;
        sim_check_debt(c);
        ours(c, f);
    }
    else if (strcmp(f->type, "caught_up") == 0) {
        sim_check_debt(c);
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

    memset(h, 0, sizeof(*h));
    strcpy(h->text, text);
    h->at = sim_now;
    h->told_at = c->told_at;
    h->stood_at = c->stood_at;
    h->engine = c->engine;
    h->replaying = c->replay && !c->caught_up;
    h->debt = c->debt;
    for (k = 0; k < c->nkeys; k++) {
        h->next[k] = c->next[k];
    }
    sim_cursor_parse(c->profile, text, h->pos);
    for (k = 0; k < c->nkeys; k++) {
        h->replaying |= rs_id_cmp(h->pos[k], c->last_when_told[k]) < 0;
    }
}

void sim_model_submit(sim_conn_t *c)
{
    int k;

    c->submit_at = c->out_at = c->reading_since = sim_now;
    c->told_at = c->reset_at = c->stood_at = -1;
    for (k = 0; k < c->nkeys; k++) {
        c->last_at_submit[k] = sim_keys[c->key[k]].s.last;
    }
    sim_backlog_comes(c);
}

void sim_model_closed(sim_conn_t *c)
{
    int k;

    /* Its engine has known its keys until now. */
    for (k = 0; c->connected && k < c->nkeys; k++) {
        sim_engines[c->engine].last_read[c->key[k]] = sim_now;
    }
    sim_backlog_leaves(c);
    /* What its socket had taken, the group has had: where that ends is not known here. */
    if (c->unread && sim_conf.pgroup[c->profile]) {
        sim_backlog_close(c);
    }
    if (!c->connected && !c->ended && !c->peer_closed && !sim_engines[c->engine].gone
        && !sim_engines[c->engine].draining) {
        sim_fail("verdict", "c%d at e%d: closed without a word", c->client, c->engine);
    }
}
