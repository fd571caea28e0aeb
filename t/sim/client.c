/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients: they connect, read or do not, leave in the middle of a byte, and come back with an id
 * that they were given, mostly the last one. What is written to a connection is parsed at once and
 * judged by the model; what its client knows of it is what it has read.
 */
#include <stdlib.h>

#include "sim.h"

sim_client_t sim_clients[SIM_CLIENTS];
sim_conn_t sim_conns[SIM_CONNS];
int sim_conns_used;

static void free_slot(sim_conn_t *c)
{
    void *queue = c->queue;
    int size = c->queue_size;

    memset(c, 0, offsetof(sim_conn_t, line));
    c->queue = queue;
    c->queue_size = size;
}

void sim_client_reset(void)
{
    int i;

    for (i = 0; i < SIM_CONNS; i++) {
        free_slot(&sim_conns[i]);
    }
    sim_conns_used = 0;
    for (i = 0; i < SIM_CLIENTS; i++) {
        sim_clients[i].conn = -1;
        sim_clients[i].nheld = sim_clients[i].lag = sim_clients[i].engine = 0;
    }
}

/* --- what a client knows --- */

static void take_id(int client, const sim_hold_t *h)
{
    sim_client_t *lc = &sim_clients[client];

    if (lc->nheld == SIM_HELD) {
        /* An older one goes: which one, does not matter. */
        int at = (int)sim_rand(&sim_sched, SIM_HELD);

        memmove(&lc->held[at], &lc->held[at + 1],
                (size_t)(SIM_HELD - 1 - at) * sizeof(lc->held[0]));
        lc->nheld--;
    }
    if (lc->nheld && strcmp(lc->held[lc->nheld - 1].text, h->text) == 0) {
        lc->nheld--;
    }
    lc->held[lc->nheld++] = *h;
}

static void gone(sim_conn_t *c)
{
    if (sim_clients[c->client].conn == (int)(c - sim_conns)) {
        sim_clients[c->client].conn = -1;
    }
    if (c->closed) {
        free_slot(c);
    }
}

static void read_queue(sim_conn_t *c, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        take_id(c->client, &c->queue[i].hold);
    }
    c->nqueue = 0;
}

void sim_conn_read_all(sim_conn_t *c)
{
    read_queue(c, c->nqueue);
    c->unread = 0;
    c->room = sim_conf.room_kb * 1024;
    c->reading_since = sim_now;
    if (c->closed) {
        gone(c);
    }
}

/* --- strict parsing --- */

static void end_of_frame(sim_conn_t *c)
{
    sim_frame_t *f = &c->frame;

    if (!f->has_id && !f->has_data && !f->comment[0]) {
        sim_fail("malformed", "c%d: an empty event", c->client);
    }
    if (f->comment[0] ? f->has_data || f->has_type : !f->has_data || !f->has_type) {
        sim_fail("malformed", "c%d: not one event: type '%s', data %d", c->client, f->type,
                 f->has_data);
    }
    sim_model_frame(c, f);
    if (f->has_id && !sim_failed) {
        sim_hold_t h;

        sim_model_hold(c, f->id, &h);
        if (!sim_clients[c->client].lag && !c->nqueue) {
            take_id(c->client, &h);
        }
        else {
            if (c->nqueue == c->queue_size) {
                c->queue_size = c->queue_size ? c->queue_size * 2 : 8;
                c->queue = sim_realloc(c->queue, (size_t)c->queue_size * sizeof(*c->queue));
            }
            c->queue[c->nqueue].end = c->written;
            c->queue[c->nqueue++].hold = h;
        }
    }
    memset(f, 0, offsetof(sim_frame_t, data));
    f->data[0] = '\0';
    f->data_len = 0;
}

static int begins(const sim_conn_t *c, const char *with)
{
    size_t n = strlen(with);

    return c->line_len >= n && memcmp(c->line, with, n) == 0;
}

static void copy(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);

    n = n < size ? n : size - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

static void end_of_line(sim_conn_t *c)
{
    sim_frame_t *f = &c->frame;

    c->line[c->line_len < sizeof(c->line) ? c->line_len : sizeof(c->line) - 1] = '\0';
    if (c->line_len == 0) {
        end_of_frame(c);
    }
    else if (begins(c, "data: ") && !f->has_data && !f->has_id) {
        f->has_data = 1;
        f->data_len = c->line_len - 6;
        copy(f->data, sizeof(f->data), c->line + 6);
    }
    /* After all that could be cut off: clients take it for theirs when they have read the line. */
    else if (begins(c, "id: ") && !f->has_id && (f->has_data || !f->has_type)) {
        f->has_id = 1;
        copy(f->id, sizeof(f->id), c->line + 4);
    }
    else if (begins(c, "event: ") && !f->has_type && !f->has_id && !f->has_data) {
        f->has_type = 1;
        copy(f->type, sizeof(f->type), c->line + 7);
    }
    else if (begins(c, "retry: ") && !f->retry && !f->has_type && !f->has_id) {
        f->retry = atoi(c->line + 7) + 1;
    }
    else if (strcmp(c->line, ": heartbeat") == 0 && !f->has_type && !f->has_id) {
        strcpy(f->comment, "heartbeat");
    }
    else {
        sim_fail("malformed", "c%d: a line that has no place: %.80s", c->client, c->line);
    }
    c->line_len = 0;
}

static void feed(sim_conn_t *c, const char *p, size_t n)
{
    while (n && !sim_failed) {
        const char *lf = memchr(p, '\n', n);
        size_t len = lf ? (size_t)(lf - p) : n;

        if (c->line_len < sizeof(c->line)) {
            size_t room = sizeof(c->line) - c->line_len;

            memcpy(c->line + c->line_len, p, len < room ? len : room);
        }
        c->line_len += len;
        c->written += len + (lf != NULL);
        p += len + (lf != NULL);
        n -= len + (lf != NULL);
        if (lf) {
            end_of_line(c);
        }
    }
}

/* --- the transport --- */

int sim_conn_ready(const sim_conn_t *c)
{
    if (!c->registered) {
        return 0;
    }
    return (c->peer_closed ? RS_POLL_IN | RS_POLL_HUP : 0)
           | (c->want_out && (c->room > 0 || c->peer_closed) ? RS_POLL_OUT : 0);
}

static ssize_t conn_writev(rs_conn_t *conn, const struct iovec *iov, int n)
{
    sim_conn_t *c = conn->session;
    size_t total = 0, take, left;
    int i;

    for (i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    if (c->closed || c->finished) {
        sim_fail("closed", "c%d: written to after its end", c->client);
    }
    if (c->peer_closed || sim_engines[c->engine].gone) {
        return -1;
    }
    take = total < (size_t)c->room ? total : (size_t)c->room;
    if (sim_conf.partial && total && sim_rand(&sim_sched, (uint32_t)sim_conf.partial) == 0) {
        take = sim_rand(&sim_sched, (uint32_t)take + 1);
        sim_stats[SIM_S_PARTIAL]++;
    }
    sim_engines[c->engine].taken += (long)take;
    if (sim_clients[c->client].lag) {
        c->room -= (int)take;
        c->unread += take;
    }
    if (take && sim_fault != SIM_FAULT_SILENT) {
        c->out_at = sim_now;
    }
    for (i = 0, left = take; left; i++) {
        size_t len = iov[i].iov_len < left ? iov[i].iov_len : left;

        feed(c, iov[i].iov_base, len);
        left -= len;
    }
    return (ssize_t)take;
}

static ssize_t conn_read(rs_conn_t *conn, char *buf, size_t size)
{
    const sim_conn_t *c = conn->session;

    (void)buf;
    (void)size;
    return c->peer_closed || sim_engines[c->engine].gone ? -1 : 0;
}

/* A client that reads sees the end and closes. */
static int conn_finish(rs_conn_t *conn)
{
    sim_conn_t *c = conn->session;

    c->finished = 1;
    if (!sim_clients[c->client].lag) {
        c->peer_closed = 1;
    }
    return 1;
}

static void conn_close(rs_conn_t *conn)
{
    sim_conn_t *c = conn->session;

    c->closed = 1;
    c->registered = 0;
    TRACE("c%d: closed by the engine", c->client);
    sim_model_closed(c);
    if (c->peer_closed || !sim_clients[c->client].lag) {
        gone(c);
    }
}

static const rs_transport_t transport = {"simulated", conn_writev, conn_read, conn_finish,
                                         conn_close,  NULL};

/* --- connecting --- */

static void made_up(sim_conn_t *c, int beyond)
{
    int k;

    memset(&c->hold, 0, sizeof(c->hold));
    c->hold.made_up = 1;
    c->hold.at = sim_now;
    c->hold.told_at = c->hold.stood_at = -1;
    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        if (beyond == 1) {
            c->hold.pos[k] = key->s.last;
            c->hold.pos[k].ms += 5000;
        }
        else if (beyond == 2 && key->nall) {
            /* That of any entry, of whichever tenant, or right beside it. */
            uint32_t at = sim_rand(&sim_sched, (uint32_t)key->nall);

            c->hold.pos[k] = sim_entries[key->all[at]].id;
            c->hold.pos[k].seq += sim_rand(&sim_sched, 2);
        }
        if (beyond >= 100) {
            /* That of an entry, or before it. */
            int i = key->nall - 1;

            for (; i >= 0 && key->all[i] > beyond - 100; i--) {
            }
            c->hold.pos[k] = i >= 0 ? sim_entries[key->all[i]].id : c->hold.pos[k];
        }
        c->hold.next[k] = sim_index_above(c->key[k], c->hold.pos[k]);
    }
    sim_cursor_format(c->hold.text, c->profile, c->hold.pos);
}

/* how: 0 no id, 1 the last one, 2 to 49 an earlier one, 50 garbage, 51 beyond everything, 52 0-0,
 * 53 an entry's, 54 what another client of the same tenant and endpoint was given last, 100 and
 * more: that of entry n - 100. */
static void bring(sim_conn_t *c, int how)
{
    const sim_client_t *lc = &sim_clients[c->client];
    int i;

    c->brought = SIM_NO_ID;
    if (how == 50) {
        c->brought = SIM_GARBAGE;
        strcpy(c->hold.text, "00000000.abc");
        c->hold.told_at = -1;
    }
    else if ((how >= 51 && how <= 53) || how >= 100) {
        c->brought = SIM_ID;
        made_up(c, how == 51 ? 1 : how == 53 ? 2 : how >= 100 ? how : 0);
    }
    else if (how == 54) {
        for (i = 0; i < sim_conf.clients && c->brought == SIM_NO_ID; i++) {
            if (i != c->client && sim_clients[i].nheld && sim_conf.cten[i] == c->tenant
                && sim_conf.cprof[i] == c->profile) {
                c->brought = SIM_ID;
                c->hold = sim_clients[i].held[sim_clients[i].nheld - 1];
                c->hold.told_at = -1;
            }
        }
    }
    else if (how && lc->nheld) {
        c->brought = SIM_ID;
        c->hold = lc->held[how == 1 ? lc->nheld - 1 : (how - 2) % lc->nheld];
    }
}

static void submit(sim_conn_t *c)
{
    sim_engine_t *e = &sim_engines[c->engine];
    rs_client_params_t params;
    rs_profile_t wanted;
    char json[24], name[8], group[32];
    int s;

    memset(&wanted, 0, sizeof(wanted));
    wanted.source = e->source;
    wanted.wire = &rs_wire_sse;
    for (s = 0; s < SIM_STREAMS; s++) {
        if (sim_conf.pmask[c->profile] & sim_conf.streams & 1 << s) {
            wanted.streams |= rs_source_stream_bit(e->source, sim_stream_key(s));
        }
    }
    snprintf(name, sizeof(name), "p%d", c->profile);
    wanted.name = name;
    wanted.heartbeat = MSEC(sim_conf.pbeat_ms[c->profile]);
    wanted.retry = SEC(2);
    wanted.start_last = sim_conf.plast[c->profile];
    /* Endpoints that read one key must not have one group. */
    snprintf(group, sizeof(group), "ragline-%s-{tenant}", name);
    wanted.group = sim_conf.pgroup[c->profile] ? group : NULL;
    wanted.replay_limit = sim_conf.plimit[c->profile];
    wanted.slow_disconnect = sim_conf.pslow[c->profile];
    wanted.stall = MSEC(sim_conf.pstall_ms[c->profile]);
    memset(&params, 0, sizeof(params));
    params.conn.fd = (int)(c - sim_conns);
    params.conn.transport = &transport;
    params.conn.session = c;
    params.profile = rs_profile_intern(&e->engine->profiles, &wanted);
    params.tenant = sim_tenant(c->tenant);
    params.user = "";
    snprintf(json, sizeof(json), "\"%s\"", sim_tenant(c->tenant));
    params.tenant_json = json;
    params.user_json = "null";
    params.cursor = c->brought == SIM_NO_ID ? "" : c->hold.text;
    sim_model_submit(c);
    rs_engine_submit(e->engine, rs_client_create(&params));
}

void sim_client_connect(int client, int engine, int how)
{
    sim_client_t *lc = &sim_clients[client];
    sim_engine_t *e = &sim_engines[engine];
    sim_conn_t *c;
    int i;

    if (lc->conn >= 0) {
        sim_client_leave(client, 8);
    }
    if (!e->alive || e->draining || !rs_source_is_up(e->source) || rs_engine_reserve(e->engine, NULL, &i) != RS_REFUSED_MAX) {
        sim_stats[SIM_S_REFUSED]++;
        return;
    }
    for (i = 0; i < SIM_CONNS && sim_conns[i].used; i++) {
    }
    if (i == SIM_CONNS) {
        rs_engine_unreserve(e->engine, RS_NO_SEAT);
        return;
    }
    sim_conns_used = i < sim_conns_used ? sim_conns_used : i + 1;
    sim_stats[SIM_S_CONNECTS]++;
    c = &sim_conns[i];
    free_slot(c);
    memset(&c->frame, 0, sizeof(c->frame));
    c->line_len = 0;
    memset((char *)c + offsetof(sim_conn_t, nkeys), 0, sizeof(*c) - offsetof(sim_conn_t, nkeys));
    c->used = 1;
    c->client = client;
    c->engine = engine;
    c->profile = sim_conf.cprof[client];
    c->tenant = sim_conf.cten[client];
    c->room = sim_conf.room_kb * 1024;
    c->nkeys = sim_profile_keys(c->profile, c->tenant, c->key);
    bring(c, how);
    lc->conn = i;
    lc->engine = engine;
    lc->lag = 0;
    TRACE("c%d: connects to e%d with '%s'", client, engine,
          c->brought == SIM_NO_ID ? "" : c->hold.text);
    submit(c);
}

/* It has read some of what waits in its socket, in eighths, and then breaks the connection. */
void sim_client_leave(int client, int read_part)
{
    sim_client_t *lc = &sim_clients[client];
    sim_conn_t *c;

    if (lc->conn < 0) {
        return;
    }
    c = &sim_conns[lc->conn];
    TRACE("c%d: leaves", client);
    read_queue(c, c->nqueue * read_part / 8);
    c->peer_closed = 1;
    lc->conn = -1;
    lc->lag = 0;
    if (c->closed) {
        free_slot(c);
    }
}

void sim_client_lag(int client, int lag)
{
    sim_client_t *lc = &sim_clients[client];

    if (lc->conn < 0 || lc->lag == lag) {
        return;
    }
    lc->lag = lag;
    if (!lag) {
        sim_conn_t *c = &sim_conns[lc->conn];

        if (c->finished) {
            c->peer_closed = 1;
        }
        sim_conn_read_all(c);
    }
}

void sim_conn_lost(sim_conn_t *c)
{
    c->peer_closed = 1;
    if (sim_clients[c->client].conn == (int)(c - sim_conns)) {
        read_queue(c, c->nqueue);
        sim_clients[c->client].conn = -1;
    }
}
