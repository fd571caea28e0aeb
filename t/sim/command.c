/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to the simulated Redis: what was sent arrives after a while and is executed, what is
 * answered arrives after a while. Pipelined commands are executed back to back, unless the run
 * says that a write may be cut in two on its way.
 */
#include <stdlib.h>

#include "redis/rs_group_script.h"
#include "sim.h"

sim_rconn_t sim_rconns[SIM_RCONNS];
int sim_rconns_used;
static long long next_client_id;
static sim_rrep_t *noting; /* the reply that is being made */

/* --- life --- */

static void free_cmds(sim_cmd_t *cmd)
{
    sim_cmd_t *next;

    for (; cmd; cmd = next) {
        next = cmd->next;
        sim_free(cmd);
    }
}

static void free_replies(sim_rrep_t *rep)
{
    sim_rrep_t *next;

    for (; rep; rep = next) {
        next = rep->next;
        freeReplyObject(rep->r);
        sim_free(rep);
    }
}

static void empty(sim_rconn_t *c)
{
    free_cmds(c->pend);
    free_cmds(c->in);
    free_cmds(c->queued);
    free_cmds(c->blocked);
    free_replies(c->out);
    c->pend = c->in = c->queued = c->blocked = NULL;
    c->pend_last = &c->pend;
    c->in_last = &c->in;
    c->queued_last = &c->queued;
    c->out = NULL;
    c->out_last = &c->out;
}

void sim_command_reset(void)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        if (sim_rconns[i].used) {
            empty(&sim_rconns[i]);
        }
    }
    memset(sim_rconns, 0, sizeof(sim_rconns));
    sim_rconns_used = 0;
    next_client_id = 10;
}

static apr_time_t latency(void)
{
    return sim_conf.lat_us ? 1 + (apr_time_t)sim_rand(&sim_sched, (uint32_t)sim_conf.lat_us) : 0;
}

sim_rconn_t *sim_rconn_open(int engine, rs_link_t *link)
{
    sim_rconn_t *c;
    int i;

    for (i = 0; i < SIM_RCONNS && sim_rconns[i].used; i++) {
    }
    if (i < SIM_RCONNS && i >= sim_rconns_used) {
        sim_rconns_used = i + 1;
    }
    if (i == SIM_RCONNS) {
        sim_fail("connections", "too many connections to Redis");
        i = 0;
    }
    c = &sim_rconns[i];
    memset(c, 0, sizeof(*c));
    empty(c);
    c->used = 1;
    c->engine = engine;
    c->link = link;
    c->id = next_client_id++;
    c->ready_at = sim_now + 2 * latency();
    if (sim_now < sim_redis.down_until || sim_engines[engine].gone) {
        c->broken = !sim_redis.hangs || sim_engines[engine].gone;
        c->broken_at = c->ready_at;
        c->ready_at = c->broken ? c->ready_at : SIM_NEVER;
    }
    return c;
}

static void break_conn(sim_rconn_t *c)
{
    int i = (int)(c - sim_rconns), k;

    c->broken = 1;
    memset(sim_engines[c->engine].hand_hi, 0, sizeof(sim_engines[c->engine].hand_hi));
    c->broken_at = sim_now;
    free_cmds(c->in);
    c->in = NULL;
    c->in_last = &c->in;
    free_cmds(c->blocked);
    c->blocked = NULL;
    for (k = 0; k < SIM_KEYS; k++) {
        sim_keys[k].tracked &= ~((uint64_t)1 << i);
    }
}

void sim_rconn_close(sim_rconn_t *c)
{
    break_conn(c);
    empty(c);
    c->used = 0;
}

/* Each reply that is on its way is lost, with those behind it, by chance. */
void sim_rconn_cut(int engine, int lose)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        sim_rconn_t *c = &sim_rconns[i];
        sim_rrep_t **link;

        if (!c->used || c->broken || (engine >= 0 && c->engine != engine)) {
            continue;
        }
        for (link = &c->out; *link && (int)sim_rand(&sim_sched, 8) >= lose; link = &(*link)->next) {
        }
        free_replies(*link);
        *link = NULL;
        c->out_last = link;
        break_conn(c);
    }
    sim_stats[SIM_S_CUTS]++;
    sim_model_trouble(sim_now);
}

/* --- from the engine --- */

int sim_rconn_append(sim_rconn_t *c, int argc, const char **argv)
{
    size_t size = sizeof(sim_cmd_t) + (size_t)argc * sizeof(char *), at = size;
    sim_cmd_t *cmd;
    int i;

    for (i = 0; i < argc; i++) {
        size += argv[i] == rs_group_script ? 0 : strlen(argv[i]) + 1;
    }
    cmd = sim_malloc(size);
    cmd->next = NULL;
    cmd->argc = argc;
    for (i = 0; i < argc; i++) {
        size_t n = strlen(argv[i]) + 1;

        if (argv[i] == rs_group_script) {
            cmd->argv[i] = argv[i];
            continue;
        }
        cmd->argv[i] = memcpy((char *)cmd + at, argv[i], n);
        at += n;
    }
    *c->pend_last = cmd;
    c->pend_last = &cmd->next;
    return 1;
}

void sim_rconn_send(sim_rconn_t *c)
{
    apr_time_t at = sim_now + latency();
    sim_cmd_t *cmd = c->pend;

    at = at < c->last_in ? c->last_in : at;
    c->pend = NULL;
    c->pend_last = &c->pend;
    if (c->broken) {
        free_cmds(cmd);
        return;
    }
    *c->in_last = cmd;
    for (; cmd; cmd = cmd->next) {
        cmd->at = at;
        c->in_last = &cmd->next;
        if (sim_conf.split && sim_rand(&sim_sched, 4) == 0) {
            at += latency();
        }
    }
    c->last_in = at;
}

int sim_rconn_has(const sim_rconn_t *c)
{
    return c->out ? sim_now >= c->out->at : c->broken && sim_now >= c->broken_at;
}

static void learn(sim_engine_t *e, int slot, const sim_rrep_t *rep)
{
    int i, j;

    for (i = 0; i < rep->nnotes; i++) {
        int k = rep->note[i].key;
        rs_id_t last = rep->note[i].last;

        if (rep->note[i].hi > rep->note[i].lo) {
            e->hand_lo[k] = rep->note[i].lo;
            e->hand_hi[k] = rep->note[i].hi;
            e->hand_removals[k] = rep->note[i].removals;
        }
        /* What was read counts when Redis has said afterwards that it is still the same stream. */
        for (j = e->hand_lo[k]; rep->note[i].info && j < e->hand_hi[k]; j++) {
            sim_entry_t *entry = &sim_entries[sim_keys[k].all[j]];

            if (rs_id_cmp(entry->id, last) <= 0
                && (entry->how == SIM_PRESENT || entry->removed > e->hand_removals[k])) {
                entry->read_by |= (uint8_t)(1 << slot);
            }
        }
        if (rep->note[i].info) {
            e->hand_hi[k] = 0;
        }
        if (rep->note[i].hand.n) {
            e->hand[k] = rep->note[i].hand;
        }
        if (rep->note[i].look.is) {
            sim_count_look(e, slot, k, &rep->note[i].look);
        }
        if (rep->note[i].info && (last.ms || last.seq)) {
            e->looked_time[k][rep->note[i].epoch & 7] = sim_now;
            e->looked[k] |= (uint64_t)1 << (rep->note[i].epoch & 63);
        }
        if (rep->note[i].look.is && rep->note[i].info && rs_id_cmp(last, e->followed[k]) < 0) {
            e->saw_loss[k] = (int)rep->note[i].epoch;
            e->born[k] = e->followed[k] = e->max_seen[k] = last;
        }
        if (rep->note[i].look.is || rep->note[i].hand.n) {
            rs_id_raise(&e->followed[k], last);
        }
        if (rs_id_cmp(last, e->max_seen[k]) > 0) {
            e->max_seen[k] = last;
        }
    }
}

redisReply *sim_rconn_take(sim_rconn_t *c)
{
    sim_rrep_t *rep = c->out;
    redisReply *r;

    if (!rep || sim_now < rep->at) {
        return NULL;
    }
    c->out = rep->next;
    if (!c->out) {
        c->out_last = &c->out;
    }
    learn(&sim_engines[c->engine], c->engine, rep);
    r = rep->r;
    sim_free(rep);
    return r;
}

/* --- replies --- */

static sim_rrep_t *new_reply(void)
{
    sim_rrep_t *rep = sim_malloc(sizeof(*rep));

    rep->next = NULL;
    rep->r = NULL;
    rep->nnotes = 0;
    return rep;
}

static void send_reply(sim_rconn_t *c, sim_rrep_t *rep)
{
    rep->at = sim_now + latency();
    if (rep->at < c->last_out) {
        rep->at = c->last_out;
    }
    c->last_out = rep->at;
    *c->out_last = rep;
    c->out_last = &rep->next;
}

static void note(int k, int lo, int hi, int info, rs_id_t last)
{
    if (noting->nnotes < 8) {
        noting->note[noting->nnotes].key = k;
        noting->note[noting->nnotes].lo = lo;
        noting->note[noting->nnotes].hi = hi;
        noting->note[noting->nnotes].info = info;
        noting->note[noting->nnotes].removals = sim_redis.removals;
        noting->note[noting->nnotes].last = last;
        noting->note[noting->nnotes].hand.n = 0;
        noting->note[noting->nnotes].look.is = 0;
        noting->note[noting->nnotes++].epoch = sim_keys[k].epoch;
    }
}

/* What was noted last is also a look at the key, by one who follows it. */
static void note_look(const sim_rconn_t *c, int k)
{
    sim_look_t *look = &noting->note[noting->nnotes - 1].look;
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
static void note_hand(int k, int n)
{
    sim_hand_t *hand = &noting->note[noting->nnotes - 1].hand;

    hand->n = n;
    hand->lo = noting->note[noting->nnotes - 1].lo;
    hand->hi = noting->note[noting->nnotes - 1].hi;
    hand->removals = sim_redis.removals;
    hand->last = sim_entries[sim_keys[k].all[hand->hi - 1]].id;
}

/* --- commands --- */

static redisReply *wrong_type(void)
{
    return sim_reply_error("WRONGTYPE Operation against a key holding the wrong kind of value");
}

static redisReply *range(int k, int from, int n, int step)
{
    const sim_stream_t *s = &sim_keys[k].s;
    redisReply *r = sim_reply_array((size_t)n);
    rs_id_t none = {0, 0};
    int i;

    for (i = 0; i < n; i++) {
        r->element[i] = sim_reply_entry(s->uid[from + step * i]);
    }
    if (sim_fault == SIM_FAULT_LOSE && n > 2) {
        freeReplyObject(r->element[n - 2]);
        r->element[n - 2] = r->element[n - 1];
        r->elements--;
    }
    if (n) {
        int a = s->uid[from], b = s->uid[from + step * (n - 1)];
        int lo = step > 0 ? a : b, hi = step > 0 ? b : a;

        note(k, (int)sim_entries[lo].index, (int)sim_entries[hi].index + 1, 0,
             step > 0 ? sim_entries[hi].id : none);
    }
    return r;
}

static int key_of(const sim_cmd_t *cmd, int i)
{
    int k = i < cmd->argc ? sim_redis_key(cmd->argv[i]) : -1;

    if (k < 0) {
        sim_fail("sim", "%s of an unknown key %s", cmd->argv[0], i < cmd->argc ? cmd->argv[i] : "");
        k = 0;
    }
    return k;
}

static redisReply *no_perm(int k)
{
    return sim_now < sim_keys[k].noperm_until
               ? sim_reply_error("NOPERM this user has no permissions to access one of the keys "
                                 "used as arguments")
               : NULL;
}

static void track(const sim_rconn_t *c, int k)
{
    if (c->tracking) {
        sim_keys[k].tracked |= (uint64_t)1 << (c - sim_rconns);
    }
}

static redisReply *xinfo(sim_rconn_t *c, const sim_cmd_t *cmd)
{
    int k = key_of(cmd, 2);
    redisReply *r = no_perm(k);

    if (r) {
        return r;
    }
    track(c, k);
    note(k, 0, 0, 1, sim_keys[k].s.last); /* what is no stream holds nothing */
    note_look(c, k);
    if (sim_keys[k].is_string) {
        return wrong_type();
    }
    if (!sim_keys[k].s.exists) {
        return sim_reply_error("ERR no such key");
    }
    return sim_reply_info(&sim_keys[k]);
}

static rs_id_t id_of(const char *text, rs_id_t other)
{
    rs_id_t id;

    return rs_id_parse(&id, text, strlen(text)) ? id : other;
}

static redisReply *xrange(sim_rconn_t *c, const sim_cmd_t *cmd, int reverse)
{
    static const rs_id_t most = {~(apr_uint64_t)0, ~(apr_uint64_t)0}, none;
    int k = key_of(cmd, 1), count = 1 << 30, lo, hi, n;
    redisReply *r = no_perm(k);
    rs_id_t from = id_of(cmd->argv[reverse ? 3 : 2], none);
    rs_id_t to = id_of(cmd->argv[reverse ? 2 : 3], most);

    if (r) {
        return r;
    }
    track(c, k);
    if (sim_keys[k].is_string) {
        return wrong_type();
    }
    if (cmd->argc == 6) {
        count = atoi(cmd->argv[5]);
    }
    lo = rs_id_cmp(from, none) == 0 ? sim_keys[k].s.start : sim_redis_above(k, rs_id_before(from));
    hi = sim_redis_above(k, to);
    n = hi > lo ? hi - lo : 0;
    n = n > count ? count : n;
    return range(k, reverse ? hi - 1 : lo, n, reverse ? -1 : 1);
}

/* What a blocked or unblocked XREAD gets; NULL: nothing. only: of this key, for one that waited. */
static redisReply *xread_now(sim_rconn_t *c, const sim_cmd_t *cmd, int only)
{
    redisReply *parts[SIM_KEYS], *r;
    int i, n, at = 0, count = 1 << 30, nparts = 0;

    for (i = 1; i < cmd->argc && strcmp(cmd->argv[i], "STREAMS") != 0; i += 2) {
        count = strcmp(cmd->argv[i], "COUNT") == 0 ? atoi(cmd->argv[i + 1]) : count;
    }
    at = i + 1;
    n = (cmd->argc - at) / 2;
    for (i = 0; i < n; i++) {
        int k = key_of(cmd, at + i), from, m;
        redisReply *part;
        rs_id_t none = {0, 0}, id = id_of(cmd->argv[at + n + i], none);

        track(c, k);
        if (only >= 0 && k != only) {
            continue;
        }
        if (sim_keys[k].is_string) {
            while (nparts) {
                freeReplyObject(parts[--nparts]);
            }
            return wrong_type();
        }
        from = sim_redis_above(k, id);
        m = sim_keys[k].s.end - from;
        if (m <= 0
            && !(only >= 0 && sim_conf.empty_wakes && rs_id_cmp(sim_keys[k].s.last, id) > 0)) {
            continue;
        }
        m = m > count ? count : m < 0 ? 0 : m;
        part = sim_reply_array(2);
        part->element[0] =
            sim_reply_text(REDIS_REPLY_STRING, sim_keys[k].name, strlen(sim_keys[k].name));
        part->element[1] = range(k, from, m, 1);
        if (m) {
            note_hand(k, m);
        }
        parts[nparts++] = part;
    }
    if (!nparts) {
        return NULL;
    }
    r = sim_reply_array((size_t)nparts);
    memcpy(r->element, parts, (size_t)nparts * sizeof(*parts));
    return r;
}

static redisReply *xread(sim_rconn_t *c, sim_cmd_t *cmd)
{
    redisReply *r;
    int i, k;

    c->follows = 1;
    for (i = cmd->argc - 1; i > 0; i--) {
        k = sim_redis_key(cmd->argv[i]);
        if (k >= 0 && (r = no_perm(k))) {
            return r;
        }
    }
    r = xread_now(c, cmd, -1);
    for (i = 1; !r && !c->in_multi && i + 1 < cmd->argc; i++) {
        if (strcmp(cmd->argv[i], "BLOCK") == 0) {
            c->blocked = cmd;
            c->blocked_until = sim_now + MSEC(atoi(cmd->argv[i + 1]));
            return NULL;
        }
    }
    return r ? r : sim_reply(REDIS_REPLY_NIL);
}

static redisReply *client(sim_rconn_t *c, const sim_cmd_t *cmd)
{
    if (strcmp(cmd->argv[1], "ID") == 0) {
        return sim_reply_int(c->id);
    }
    if (strcmp(cmd->argv[1], "TRACKING") == 0 && cmd->argc > 4) {
        long long id = atoll(cmd->argv[4]);
        int i;

        for (i = 0; i < sim_rconns_used; i++) {
            if (sim_rconns[i].used && !sim_rconns[i].broken && sim_rconns[i].id == id) {
                c->tracking = c->follows = 1;
                c->redirect = id;
                return sim_reply_text(REDIS_REPLY_STATUS, "OK", 2);
            }
        }
        return sim_reply_error("ERR The client ID you want redirect to does not exist");
    }
    return sim_reply_text(REDIS_REPLY_STATUS, "OK", 2);
}

static redisReply *subscribe(sim_rconn_t *c, const sim_cmd_t *cmd)
{
    redisReply *r = sim_reply_array(3);

    c->subscribed = 1;
    r->element[0] = sim_reply_text(REDIS_REPLY_STRING, "subscribe", 9);
    r->element[1] = sim_reply_text(REDIS_REPLY_STRING, cmd->argv[1], strlen(cmd->argv[1]));
    r->element[2] = sim_reply_int(1);
    return r;
}

static redisReply *ping(const sim_rconn_t *c)
{
    redisReply *r;

    if (!c->subscribed) {
        return sim_reply_text(REDIS_REPLY_STATUS, "PONG", 4);
    }
    r = sim_reply_array(2);
    r->element[0] = sim_reply_text(REDIS_REPLY_STRING, "pong", 4);
    r->element[1] = sim_reply_text(REDIS_REPLY_STRING, "", 0);
    return r;
}

static redisReply *refusal(const char *name)
{
    int writes = strcmp(name, "EVAL") == 0 || strcmp(name, "HSET") == 0;

    if (sim_now < sim_redis.error_until && (writes || !sim_redis.error_writes)
        && strcmp(name, "CLIENT") != 0 && strcmp(name, "SUBSCRIBE") != 0) {
        return sim_reply_error(sim_redis.error);
    }
    return NULL;
}

/* NULL: it blocks, and the command is kept. */
static redisReply *run(sim_rconn_t *c, sim_cmd_t *cmd)
{
    const char *name = cmd->argv[0];
    redisReply *r = refusal(name);

    if (r) {
        return r;
    }
    if (strcmp(name, "XREAD") == 0) {
        return xread(c, cmd);
    }
    if (strcmp(name, "XINFO") == 0) {
        return xinfo(c, cmd);
    }
    if (strcmp(name, "XRANGE") == 0 || strcmp(name, "XREVRANGE") == 0) {
        return xrange(c, cmd, name[2] == 'E');
    }
    if (strcmp(name, "EVAL") == 0 && strcmp(cmd->argv[1], rs_group_script) == 0) {
        return sim_group_eval(cmd);
    }
    if (strcmp(name, "CLIENT") == 0) {
        return client(c, cmd);
    }
    if (strcmp(name, "SUBSCRIBE") == 0) {
        return subscribe(c, cmd);
    }
    if (strcmp(name, "PING") == 0) {
        return ping(c);
    }
    if (strcmp(name, "XLEN") == 0) {
        int k = key_of(cmd, 1);

        return sim_reply_int(sim_keys[k].s.end - sim_keys[k].s.start);
    }
    sim_fail("sim", "the simulated Redis does not know %s %s", name,
             cmd->argc > 1 ? cmd->argv[1] : "");
    return sim_reply_error("ERR unknown command");
}

/* --- execution --- */

int sim_rconn_due(const sim_rconn_t *c)
{
    if (!c->used || c->broken || sim_now < sim_redis.paused_until) {
        return 0;
    }
    return c->blocked ? sim_now >= c->blocked_until : c->in && sim_now >= c->in->at;
}

apr_time_t sim_rconn_next(const sim_rconn_t *c)
{
    apr_time_t at = c->blocked ? c->blocked_until : c->in ? c->in->at : SIM_NEVER;

    return !c->used || c->broken         ? SIM_NEVER
           : at < sim_redis.paused_until ? sim_redis.paused_until
                                         : at;
}

static void answer(sim_rconn_t *c, redisReply *r)
{
    noting->r = r;
    send_reply(c, noting);
    noting = NULL;
}

static void exec(sim_rconn_t *c)
{
    sim_cmd_t *cmd;
    redisReply *all;
    size_t n = 0;

    for (cmd = c->queued; cmd; cmd = cmd->next) {
        n++;
    }
    all = sim_reply_array(n);
    for (n = 0, cmd = c->queued; cmd; cmd = cmd->next) {
        sim_stats[SIM_S_COMMANDS]++;
        all->element[n++] = run(c, cmd);
    }
    free_cmds(c->queued);
    c->queued = NULL;
    c->queued_last = &c->queued;
    c->in_multi = 0;
    answer(c, all);
}

static void one(sim_rconn_t *c, sim_cmd_t *cmd)
{
    redisReply *r;

    sim_redis.commands++;
    sim_stats[SIM_S_COMMANDS]++;
    sim_engines[c->engine].commands_second++;
    noting = new_reply();
    if (strcmp(cmd->argv[0], "EXEC") == 0 && c->in_multi) {
        exec(c);
    }
    else if (c->in_multi) {
        *c->queued_last = cmd;
        c->queued_last = &cmd->next;
        answer(c, sim_reply_text(REDIS_REPLY_STATUS, "QUEUED", 6));
        return;
    }
    else if (strcmp(cmd->argv[0], "MULTI") == 0) {
        c->in_multi = 1;
        answer(c, sim_reply_text(REDIS_REPLY_STATUS, "OK", 2));
    }
    else if ((r = run(c, cmd))) {
        answer(c, r);
    }
    else {
        sim_free(noting);
        noting = NULL;
        return; /* c->blocked has it */
    }
    free_cmds(cmd);
}

static void unblock(sim_rconn_t *c, redisReply *r)
{
    free_cmds(c->blocked);
    c->blocked = NULL;
    answer(c, r);
}

void sim_rconn_execute(sim_rconn_t *c)
{
    if (c->blocked) {
        noting = new_reply();
        unblock(c, sim_reply(REDIS_REPLY_NIL));
        return;
    }
    while (c->in && sim_now >= c->in->at && !c->blocked && !c->broken) {
        sim_cmd_t *cmd = c->in;

        c->in = cmd->next;
        if (!c->in) {
            c->in_last = &c->in;
        }
        cmd->next = NULL;
        one(c, cmd);
    }
}

/* --- what changes do --- */

void sim_rconn_wake(int k)
{
    int i;

    for (i = 0; i < sim_rconns_used; i++) {
        sim_rconn_t *c = &sim_rconns[i];
        redisReply *r;

        if (c->used && c->blocked && !sim_keys[k].is_string) {
            noting = new_reply();
            r = xread_now(c, c->blocked, k);
            if (r) {
                unblock(c, r);
            }
            else {
                sim_free(noting);
                noting = NULL;
            }
        }
    }
}

static void tell(sim_rconn_t *ear, const char *key)
{
    redisReply *r = sim_reply_array(3);
    sim_rrep_t *rep = new_reply();

    r->element[0] = sim_reply_text(REDIS_REPLY_STRING, "message", 7);
    r->element[1] = sim_reply_text(REDIS_REPLY_STRING, "__redis__:invalidate", 20);
    r->element[2] = key ? sim_reply_array(1) : sim_reply(REDIS_REPLY_NIL);
    if (key) {
        r->element[2]->element[0] = sim_reply_text(REDIS_REPLY_STRING, key, strlen(key));
    }
    rep->r = r;
    send_reply(ear, rep);
}

void sim_rconn_invalidate(int k)
{
    int i, j;

    for (i = 0; i < sim_rconns_used; i++) {
        const sim_rconn_t *c = &sim_rconns[i];

        if (!c->used || !c->tracking || c->broken
            || (k >= 0 && !(sim_keys[k].tracked & ((uint64_t)1 << i)))) {
            continue;
        }
        for (j = 0; j < sim_rconns_used; j++) {
            if (sim_rconns[j].used && !sim_rconns[j].broken && sim_rconns[j].id == c->redirect) {
                tell(&sim_rconns[j], k >= 0 ? sim_keys[k].name : NULL);
            }
        }
    }
    for (i = 0; i < SIM_KEYS; i++) {
        sim_keys[i].tracked = i == k || k < 0 ? 0 : sim_keys[i].tracked;
    }
}
