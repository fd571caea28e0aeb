/* SPDX-License-Identifier: Apache-2.0
 *
 * The first event of a connection: what it says of the id that was brought, and where the client
 * stands from then on.
 */
#include "model.h"

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

int sim_json_word(const sim_frame_t *f, const char *name, char *to, size_t size)
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

/* A read of streams that all share tells of it, not a message. */
static int is_unheard(const sim_conn_t *c)
{
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (c->key[k] < SIM_OWN
            && rs_id_cmp(c->pos[k], sim_engines[c->engine].followed[c->key[k]]) > 0) {
            return 1;
        }
    }
    return 0;
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
    /* A key that may not be read is left out. */
    n = !sim_well(c->submit_at + SEC(10)) || all > sim_conf.plimit[c->profile] ? 0 : n;
    c->wanted_last = n < sim_conf.plast[c->profile] ? n : sim_conf.plast[c->profile];
}

static void is_new(sim_conn_t *c, const rs_id_t *pos)
{
    sim_stats[SIM_S_NEW]++;
    if (c->brought != SIM_NO_ID) {
        sim_fail("verdict", "c%d at e%d: brought an id and is new", c->client, c->engine);
    }
    sim_stand_at(c, pos);
    sim_backlog_settles(c);
    if (sim_conf.plast[c->profile]) {
        c->replay = c->choosing = 1;
        expect_last(c);
    }
}

static void is_resumed(sim_conn_t *c, const rs_id_t *pos)
{
    static const rs_id_t none; /* before everything, and of no stream */
    int k;

    sim_stats[SIM_S_RESUMED]++;
    c->replay = 1;
    if (c->brought == SIM_GARBAGE || (c->brought == SIM_NO_ID && !sim_conf.pgroup[c->profile])) {
        sim_fail("verdict", "c%d at e%d: is resumed with '%s'", c->client, c->engine, c->hold.text);
    }
    if (c->brought == SIM_NO_ID) {
        sim_stand_at(c, pos);
        sim_backlog_starts(c);
        return;
    }
    for (k = 0; k < c->nkeys; k++) {
        c->pos[k] = c->hold.pos[k];
        /* What nobody was given may have become the id of an entry meanwhile. */
        c->next[k] = c->hold.made_up ? sim_index_above(c->key[k], c->pos[k]) : c->hold.next[k];
        c->came_at_birth[k] =
            rs_id_cmp(c->pos[k], sim_engines[c->engine].born[c->key[k]]) == 0
            || rs_id_cmp(c->pos[k], none) == 0;
    }
    c->told_at = c->reset_at = c->hold.told_at;
    c->stood_at = c->hold.stood_at;
    if (c->brought == SIM_ID && c->hold.debt) {
        sim_fail("hole", "c%d at e%d: resumed with %s, in front of which something was removed",
                 c->client, c->engine, c->hold.text);
    }
    if (sim_is_beyond(c, 1) && !sim_disturbed_since(c, c->submit_at - SEC(4))
        && sim_well(c->submit_at)) {
        sim_fail("beyond", "c%d at e%d: resumed with %s, which is above all that there is",
                 c->client, c->engine, c->hold.text);
    }
    sim_check_lost(c);
    sim_backlog_brings(c);
    sim_raise_position(c, pos);
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
        sim_check_cause(c, reason);
    }
    if (strcmp(reason, "trimmed") == 0 && c->brought == SIM_ID) {
        for (k = 0; k < c->nkeys; k++) {
            int next = sim_index_above(c->key[k], c->hold.pos[k]);

            c->pos[k] = c->hold.pos[k];
            c->next[k] = c->hold.made_up || next < c->hold.next[k] ? next : c->hold.next[k];
        }
        c->told_at = sim_now;
        sim_raise_position(c, pos);
    }
    else {
        c->reset_at = sim_now;
        sim_stand_at(c, pos);
    }
    c->told_at = sim_now;
    if (c->brought != SIM_GARBAGE) {
        sim_backlog_settles(c);
    }
    else {
        sim_backlog_unknown(c);
    }
}

/* What its engine still knows of its keys it goes on knowing. */
static void note_reader(const sim_conn_t *c)
{
    apr_time_t *last_read = sim_engines[c->engine].last_read;
    int k;

    for (k = 0; k < c->nkeys; k++) {
        if (last_read[c->key[k]] >= sim_now - SEC(29)) {
            last_read[c->key[k]] = sim_now;
        }
    }
}

void sim_connected(sim_conn_t *c, const sim_frame_t *f)
{
    char recovery[16], reason[16];
    rs_id_t pos[SIM_PROFILE_KEYS];

    if (c->connected) {
        sim_fail("verdict", "c%d: connected twice", c->client);
    }
    c->connected = 1;
    c->connected_at = sim_now;
    note_reader(c);
    if (!sim_json_word(f, "recovery", recovery, sizeof(recovery)) || !f->has_id || !f->retry
        || !sim_cursor_parse(c->profile, f->id, pos)) {
        sim_fail("malformed", "c%d: connected without what it needs: %s", c->client, f->data);
        return;
    }
    sim_json_word(f, "reason", reason, sizeof(reason));
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
    c->behind = sim_above(c, c->next);
    c->ahead = not_read_yet(c);
    c->unheard = is_unheard(c);
}
