/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of the simulated Redis: what each of them answers.
 */
#include <stdlib.h>

#include "redis/rs_group_script.h"
#include "sim.h"

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

        sim_note(k, (int)sim_entries[lo].index, (int)sim_entries[hi].index + 1, 0,
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

/* What was read before counts for nothing. */
static redisReply *refuse_look(const sim_rconn_t *c, int k, redisReply *error)
{
    static const rs_id_t none;

    if (c->follows) {
        sim_note(k, 0, 0, -1, none);
    }
    return error;
}

static redisReply *xinfo(sim_rconn_t *c, const sim_cmd_t *cmd)
{
    int k = key_of(cmd, 2);
    redisReply *r = no_perm(k);

    if (r) {
        return refuse_look(c, k, r);
    }
    track(c, k);
    sim_note(k, 0, 0, 1, sim_keys[k].s.last); /* what is no stream holds nothing */
    sim_note_look(c, k);
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
redisReply *sim_xread_now(sim_rconn_t *c, const sim_cmd_t *cmd, int only)
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
            sim_note_hand(k, m);
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
    r = sim_xread_now(c, cmd, -1);
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
redisReply *sim_command_run(sim_rconn_t *c, sim_cmd_t *cmd)
{
    const char *name = cmd->argv[0];
    redisReply *r = refusal(name);

    if (r) {
        sim_noting->more = 1; /* who asks hangs up, and goes by nothing that came before it */
        return strcmp(name, "XINFO") == 0 ? refuse_look(c, key_of(cmd, 2), r) : r;
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
