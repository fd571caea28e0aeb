/* SPDX-License-Identifier: Apache-2.0
 *
 * The non-blocking connection. The hub's thread.
 *
 *   DOWN    waits for its next try
 *   ASK     connecting to a sentinel; its AUTH, CLIENT SETNAME and the question are on their way
 *   NEXT    it has not answered; another one is asked in the next turn
 *   FOUND   it has named the master, which is connected to in the next turn
 *   LOGIN   connecting; AUTH, SELECT and CLIENT SETNAME are on their way
 *   READY   the owner's commands
 *
 * ASK and LOGIN have no connection yet while the name of the server is resolved (rs_resolve.c).
 *
 * With sentinels, everything the owner sends has ROLE in front of it, and its replies are given to
 * the owner only if the server says that it is the master. So a server that was demoted is left at
 * the next command, whether it closes connections then or not, and nothing is read from a
 * replica, which may hold less than was read already. One that the sentinels have replaced is left
 * although it still says that it is the master (rs_sentinel.h).
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "rs_link.h"
#include "rs_redis_conn.h"
#include "rs_sentinel.h"

#define LOGIN_LIMIT apr_time_from_sec(5)
#define ASK_LIMIT apr_time_from_sec(1)
#define PROGRESS apr_time_from_sec(5)
/* A master that is none any more in the sentinels' words is left after this at most. */
#define WORD_LIMIT apr_time_from_msec(100)
#define BACKOFF_MIN apr_time_from_msec(50)
#define BACKOFF_MAX apr_time_from_sec(1)
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define READ_SIZE (64 * 1024)
/* A reply may be as large as Redis makes it, but one turn of the hub must end. */
#define READS_PER_TURN 64

enum { DOWN, ASK, NEXT, FOUND, LOGIN, READY };

struct rs_link_t {
    rs_poll_t *poll;
    const rs_redis_url_t *url;
    const char *name;
    rs_link_calls_t calls;
    int state;
    rs_resolver_t *resolver;
    rs_lookup_t lookup;
    int looking;              /* it is the resolver's */
    int unused;               /* it has an answer that came too late */
    unsigned nth;             /* of the addresses of a name: another one after each failure */
    const rs_redis_url_t *at; /* ASK, LOGIN, READY: the server */
    redisContext *redis;
    int logins;         /* replies of the login, or of a sentinel, to come */
    int sentinel;       /* which one was asked last */
    int silent;         /* so many did not answer in this attempt */
    rs_target_t target; /* the master that it named */
    int asked_role;     /* since the last send; its reply comes before those of the owner */
    int expects_role;   /* so many replies to ROLE have not come yet */
    int checking;       /* nothing else was asked since: rs_link_check() */
    int any_role;       /* it is not asked for */
    int wants_out;
    apr_time_t deadline; /* DOWN: the next try; else when a reply must be there */
    apr_interval_time_t backoff;
    apr_uint64_t jitter;
    char buf[READ_SIZE];
};

static void disconnect(rs_link_t *l)
{
    if (l->redis) {
        if (l->redis->fd >= 0) {
            rs_poll_del(l->poll, l->redis->fd);
        }
        redisFree(l->redis);
        l->redis = NULL;
    }
}

/* Says which server it was, where that is not clear from the URL. */
static const char *blame(char *text, size_t size, const rs_link_t *l, const char *why)
{
    if (!l->url->master) {
        return why;
    }
    apr_snprintf(text, size, "%s %s: %s", l->state == ASK ? "the sentinel" : "the server",
                 l->state == ASK ? l->url->sentinels[l->sentinel].label : l->target.label, why);
    return text;
}

void rs_link_fail(rs_link_t *l, const char *why)
{
    char text[512];

    if (l->state == DOWN && !l->redis) {
        return;
    }
    l->nth += l->state != READY;
    why = blame(text, sizeof(text), l, why);
    /* Not the one whose new word it is that ends this connection. */
    if (l->url->master && (l->state == ASK || rs_sentinel_is_current(l->url, &l->target))) {
        rs_sentinel_failed(l->url, l->sentinel);
    }
    if (l->state == ASK && ++l->silent < l->url->nsentinels) {
        disconnect(l);
        l->state = NEXT;
        l->deadline = 0;
        return;
    }
    l->state = DOWN;
    l->deadline =
        rs_clock_now() + l->backoff / 2 + rs_jitter(&l->jitter, (apr_uint32_t)(l->backoff / 2) + 1);
    l->backoff = l->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : l->backoff * 2;
    /* `why` may be the context's own text. */
    l->calls.down(l->calls.baton, why);
    disconnect(l);
}

static void flush(rs_link_t *l)
{
    int done = 0, wanted;

    /* One write a call: not done means that the socket is full, or that there is more. */
    if (redisBufferWrite(l->redis, &done) != REDIS_OK) {
        rs_link_fail(l, l->redis->errstr[0] ? l->redis->errstr : "cannot write");
        return;
    }
    wanted = !done;
    if (wanted != l->wants_out) {
        l->wants_out = wanted;
        rs_poll_mod(l->poll, l->redis->fd, RS_POLL_IN | (wanted ? RS_POLL_OUT : 0), l);
    }
}

static void open_socket(rs_link_t *l, const char *host)
{
    const rs_redis_url_t *at = l->at;

    l->deadline = rs_clock_now() + (l->state == ASK ? ASK_LIMIT : LOGIN_LIMIT);
    l->asked_role = l->expects_role = l->checking = 0;
    l->redis = at->path ? redisConnectUnixNonBlock(at->path) : redisConnectNonBlock(host, at->port);
    if (!l->redis) {
        rs_link_fail(l, "out of memory");
        return;
    }
    if (l->redis->err) {
        rs_link_fail(l, l->redis->errstr);
        return;
    }
    l->logins = rs_redis_login_append(l->redis, at, l->name);
    if (l->logins < 0 || (l->state == ASK && rs_sentinel_append(l->redis, l->url) != 0)) {
        rs_link_fail(l, "out of memory");
        return;
    }
    l->logins += l->state == ASK;
    l->wants_out = 1;
    if (rs_poll_add(l->poll, l->redis->fd, RS_POLL_IN | RS_POLL_OUT, l) != APR_SUCCESS) {
        rs_link_fail(l, "cannot watch the connection");
    }
}

static void open_name(rs_link_t *l)
{
    const rs_lookup_t *lookup = &l->lookup;

    l->unused = 0;
    if (lookup->n == 0) {
        rs_link_fail(l, lookup->problem);
    }
    else {
        open_socket(l, lookup->address[l->nth % (unsigned)lookup->n]);
    }
}

static void on_address(rs_lookup_t *lookup);

/* One question at a time: an earlier one that is still open is waited for. */
static void look_up(rs_link_t *l)
{
    if (l->looking) {
        return;
    }
    if (l->unused && strcmp(l->lookup.host, l->at->host) == 0) {
        open_name(l);
        return;
    }
    apr_cpystrn(l->lookup.host, l->at->host, sizeof(l->lookup.host));
    l->lookup.done = on_address;
    l->looking = 1;
    l->unused = 0;
    if (!rs_resolver_ask(l->resolver, &l->lookup)) {
        l->looking = 0;
        rs_link_fail(l, "its name cannot be resolved");
    }
}

static void on_address(rs_lookup_t *lookup)
{
    rs_link_t *l = (rs_link_t *)((char *)lookup - offsetof(rs_link_t, lookup));

    l->looking = 0;
    l->unused = lookup->n > 0;
    if (l->redis || (l->state != ASK && l->state != LOGIN)) {
        return; /* too late, but not for the next attempt */
    }
    if (strcmp(lookup->host, l->at->host) == 0) {
        open_name(l);
    }
    else {
        look_up(l);
    }
}

/* To a sentinel, or to Redis. */
static void connect_to(rs_link_t *l, const rs_redis_url_t *at, int state)
{
    l->state = state;
    l->at = at;
    l->deadline = rs_clock_now() + (state == ASK ? ASK_LIMIT : LOGIN_LIMIT);
    if (at->tls) {
        /* The password would go out in the clear. */
        rs_link_fail(l, "streams cannot be read over TLS yet: write redis:// or unix://");
    }
    else if (rs_resolve_is_address(at->host)) {
        open_socket(l, at->host);
    }
    else {
        look_up(l);
    }
}

static void start(rs_link_t *l)
{
    if (l->state == FOUND) {
        connect_to(l, &l->target.url, LOGIN);
    }
    else if (l->url->master) {
        l->silent = l->state == NEXT ? l->silent : 0;
        l->sentinel = rs_sentinel_turn(l->url);
        connect_to(l, &l->url->sentinels[l->sentinel], ASK);
    }
    else {
        connect_to(l, l->url, LOGIN);
    }
}

int rs_link_is_ready(const rs_link_t *l) { return l->state == READY; }

void rs_link_works(rs_link_t *l) { l->backoff = BACKOFF_MIN; }

const char *rs_link_master(const rs_link_t *l)
{
    return l->url->master && l->state == READY ? l->target.label : NULL;
}

void rs_link_take_any_role(rs_link_t *l) { l->any_role = 1; }

static int append(rs_link_t *l, int argc, const char **argv)
{
    if (redisAppendCommandArgv(l->redis, argc, argv, NULL) != REDIS_OK) {
        rs_link_fail(l, "out of memory");
        return 0;
    }
    return 1;
}

static int append_role(rs_link_t *l)
{
    const char *role[] = {"ROLE"};

    if (!l->url->master || l->any_role || l->asked_role) {
        return 1;
    }
    l->asked_role = 1;
    l->expects_role++;
    return append(l, 1, role);
}

int rs_link_append(rs_link_t *l, int argc, const char **argv)
{
    return append_role(l) && append(l, argc, argv);
}

void rs_link_limit(rs_link_t *l, apr_interval_time_t limit)
{
    l->deadline = limit ? rs_clock_now() + limit : NEVER;
}

void rs_link_send(rs_link_t *l, apr_interval_time_t limit)
{
    l->asked_role = l->checking = 0;
    rs_link_limit(l, limit);
    flush(l);
}

void rs_link_check(rs_link_t *l)
{
    if (l->url->master && l->state == READY && !l->expects_role && append_role(l)) {
        rs_link_send(l, PROGRESS);
        l->checking = 1;
    }
}

/* The last of what was asked of a sentinel. */
static void on_answer(rs_link_t *l, const redisReply *reply)
{
    const char *problem = rs_sentinel_target(&l->target, l->url, reply);

    if (problem) {
        rs_link_fail(l, problem);
        return;
    }
    rs_sentinel_heard(l->url, &l->target);
    disconnect(l);
    l->state = FOUND;
    l->deadline = 0;
}

static void on_role(rs_link_t *l, const redisReply *reply)
{
    const char *problem = rs_sentinel_role(reply);

    l->expects_role--;
    if (problem) {
        rs_link_fail(l, problem);
        return;
    }
    if (l->checking) {
        l->checking = 0;
        l->deadline = NEVER;
    }
}

static void on_reply(rs_link_t *l, redisReply **reply)
{
    if (l->state == READY) {
        if (l->expects_role) {
            on_role(l, *reply);
        }
        else {
            l->calls.reply(l->calls.baton, reply);
        }
    }
    else if (--l->logins == 0 && l->state == ASK) {
        on_answer(l, *reply);
    }
    else if ((*reply)->type == REDIS_REPLY_ERROR
             && !(l->logins == (l->state == ASK) && rs_redis_setname_may_fail(*reply))) {
        rs_link_fail(l, (*reply)->str);
    }
    else if (l->logins == 0) {
        l->state = READY;
        l->deadline = NEVER;
        l->calls.ready(l->calls.baton);
    }
}

static int work_off_replies(rs_link_t *l)
{
    while (l->redis) {
        redisReply *reply = NULL;

        if (redisGetReplyFromReader(l->redis, (void **)&reply) != REDIS_OK) {
            rs_link_fail(l, l->redis->errstr);
            return 0;
        }
        if (!reply) {
            return 1;
        }
        on_reply(l, &reply);
        if (reply) {
            freeReplyObject(reply);
        }
    }
    return 0;
}

static void receive(rs_link_t *l)
{
    int turn;

    /* Not redisBufferRead(): it takes 16 kB a call and does not say whether more is waiting. */
    for (turn = 0; l->redis && turn < READS_PER_TURN; turn++) {
        ssize_t n = recv(l->redis->fd, l->buf, sizeof(l->buf), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            rs_link_fail(l, n == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        /* A large reply on a slow line is an answer, too. */
        if (l->deadline != NEVER && l->deadline < rs_clock_now() + PROGRESS) {
            l->deadline = rs_clock_now() + PROGRESS;
        }
        if (redisReaderFeed(l->redis->reader, l->buf, (size_t)n) != REDIS_OK) {
            rs_link_fail(l, "out of memory");
            return;
        }
        if (!work_off_replies(l) || n < (ssize_t)sizeof(l->buf)) {
            return;
        }
    }
}

void rs_link_io(rs_link_t *l, int events)
{
    if (l->redis && (events & RS_POLL_OUT)) {
        int error = 0;
        socklen_t len = sizeof(error);

        if (getsockopt(l->redis->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
            rs_link_fail(l, strerror(error));
            return;
        }
        flush(l);
    }
    if (l->redis && (events & (RS_POLL_IN | RS_POLL_HUP))) {
        receive(l);
    }
}

static int readable(const rs_link_t *l)
{
    struct pollfd fd = {l->redis ? l->redis->fd : -1, POLLIN, 0};

    return fd.fd >= 0 && poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN);
}

apr_time_t rs_link_turn(rs_link_t *l, apr_time_t now)
{
    if (now >= l->deadline && l->redis && readable(l)) {
        l->deadline = now + PROGRESS; /* it was us who did not look */
    }
    if (now >= l->deadline) {
        if (l->state == DOWN || l->state == NEXT || l->state == FOUND) {
            start(l);
        }
        else {
            rs_link_fail(l, !l->redis           ? "no name server answers"
                            : l->state == LOGIN ? "it does not accept the connection"
                                                : "it does not answer");
        }
    }
    if (l->state == READY && !rs_sentinel_is_current(l->url, &l->target)) {
        rs_link_fail(l, "the sentinels name another master");
    }
    return l->url->master && l->state == READY && l->deadline > now + WORD_LIMIT ? now + WORD_LIMIT
                                                                                 : l->deadline;
}

static apr_status_t cleanup(void *data)
{
    disconnect(data);
    return APR_SUCCESS;
}

apr_status_t rs_link_create(rs_link_t **out, apr_pool_t *p, rs_poll_t *poll,
                            rs_resolver_t *resolver, const rs_redis_url_t *url, const char *name,
                            const rs_link_calls_t *calls)
{
    rs_link_t *l = apr_pcalloc(p, sizeof(*l));

    apr_pool_cleanup_register(p, l, cleanup, apr_pool_cleanup_null);
    l->poll = poll;
    l->resolver = resolver;
    l->url = url;
    l->name = name;
    l->calls = *calls;
    l->backoff = BACKOFF_MIN;
    *out = l;
    return APR_SUCCESS;
}
