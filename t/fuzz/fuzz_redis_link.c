/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis that says anything: the input is what it sends over a real socket, to the reader of
 * streams, to the loader of history or to the watcher of keys. Whatever comes, and however it is
 * cut into pieces, what they tell their owner must be the same, must follow the rules of their
 * headers, and must end with the connection.
 *
 * The first byte: r for the reader, l for the loader, w for the watcher; in capitals when the
 * answer to the login is part of the input. The second byte: how many keys or commands. The watcher
 * has two connections: a byte 1 in the input changes to the other one.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/base/rs_clock.h"
#include "../../src/base/rs_poll.h"
#include "../../src/redis/rs_loader.h"
#include "../../src/redis/rs_reader.h"
#include "../../src/redis/rs_stream_reply.h"
#include "../../src/redis/rs_watcher.h"
#include "fuzz.h"
#include "resp.h"

#define KEYS 4
#define ROUNDS 3
#define OTHER_CONNECTION 1

static const char *const keys[KEYS] = {"s1", "s2", "app:events", "s4"};
static char dir[200], path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static rs_redis_url_t *url;
static int listener;

typedef struct seen_t seen_t;

/* One that watches a key; on the heap, and freed as soon as it is removed. */
typedef struct {
    rs_watch_t watch;
    seen_t *seen;
    int place; /* of seen->watchers */
    int asked, got, turns;
} watcher_t;

/* What one run has seen. */
struct seen_t {
    apr_uint64_t trace; /* a hash of all calls, with what they were given */
    int nkeys;
    int up, downs, batches;
    /* The loader's job. */
    rs_job_t job;
    rs_queue_t queue;
    rs_loader_t *loader;
    int rounds, asked, next, over;
    redisReply *taken;
    rs_watcher_t *watcher;
    watcher_t *watchers[KEYS + 1]; /* two of the same key */
};

static void cleanup(void)
{
    unlink(path);
    rmdir(dir);
}

void fuzz_setup(apr_pool_t *all)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/ragline-fuzz-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    require(mkdtemp(dir) != NULL);
    apr_snprintf(path, sizeof(path), "%s/s", dir);
    atexit(cleanup);
    memcpy(addr.sun_path, path, sizeof(path));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(listener >= 0 && !bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
    require(!listen(listener, 8));
    require(!rs_redis_url_parse(&url, all, apr_pstrcat(all, "unix://", path, NULL)));
}

static void note(seen_t *seen, const void *data, size_t n)
{
    const unsigned char *byte = data;

    while (n--) {
        seen->trace = (seen->trace ^ *byte++) * 1099511628211u;
    }
}

static void note_reply(seen_t *seen, const redisReply *reply)
{
    size_t i;

    note(seen, &reply->type, sizeof(reply->type));
    note(seen, reply->str ? reply->str : "", reply->str ? (size_t)reply->len : 0);
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        note_reply(seen, reply->element[i]);
    }
}

/* --- the reader's owner --- */

static rs_id_t on_ask(void *baton, int stream)
{
    seen_t *seen = baton;
    rs_id_t id = {0, 0};

    require(stream >= 0 && stream < seen->nkeys);
    return id;
}

static int on_take(void *baton, int stream, const rs_history_t *history, const redisReply *entries,
                   int full, int watched)
{
    seen_t *seen = baton;
    rs_id_t id;
    size_t i;

    require(stream >= 0 && stream < seen->nkeys);
    require(!entries || seen->up);
    note(seen, &stream, sizeof(stream));
    note(seen, &full, sizeof(watched + full));
    note(seen, history, sizeof(*history));
    for (i = 0; entries && i < entries->elements; i++) {
        if (!rs_stream_entry_id(entries->element[i], &id)) {
            return 0;
        }
        note_reply(seen, entries->element[i]);
    }
    return 1;
}

static void on_answered(void *baton, int stream)
{
    seen_t *seen = baton;

    require(stream >= 0 && stream < seen->nkeys && seen->up);
}

static void on_batch_end(void *baton, int caught_up)
{
    seen_t *seen = baton;

    require(seen->up);
    seen->batches++;
    note(seen, &caught_up, sizeof(caught_up));
}

static void on_up(void *baton, int up)
{
    seen_t *seen = baton;

    note(seen, &up, sizeof(up));
    seen->up = up;
    seen->downs += !up;
}

/* --- the loader's owner --- */

static void ask(seen_t *seen)
{
    const char *argv[] = {"XRANGE", keys[0], "-", "+"};
    int i;

    seen->asked = seen->nkeys;
    seen->next = 0;
    for (i = 0; i < seen->asked; i++) {
        rs_loader_ask(seen->loader, RS_ARRAY_LEN(argv), argv);
    }
}

static seen_t *of(rs_job_t *job) { return (seen_t *)((char *)job - offsetof(seen_t, job)); }

static void drop(seen_t *seen)
{
    if (seen->taken) {
        freeReplyObject(seen->taken);
        seen->taken = NULL;
    }
}

static void job_ask(rs_job_t *job)
{
    require(job->round == of(job)->rounds);
    if (of(job)->rounds++ < ROUNDS) {
        ask(of(job));
    }
}

static void job_reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    seen_t *seen = of(job);

    require(!seen->over && seen->rounds && n == seen->next++ && n < seen->asked);
    require(last == (n == seen->asked - 1));
    note_reply(seen, *reply);
    if (n % 2 == 0) { /* some are kept, as a backfill does */
        drop(seen);
        seen->taken = *reply;
        *reply = NULL;
    }
}

static void job_over(rs_job_t *job)
{
    require(of(job)->rounds == ROUNDS + 1);
    require(!of(job)->over++);
}

static void job_down(rs_job_t *job)
{
    require(!of(job)->over++);
    of(job)->downs++;
}

/* --- the watcher's owner --- */

static void watch_ask(rs_watch_t *watch)
{
    watcher_t *own = (watcher_t *)watch;
    const char *argv[] = {"XRANGE", watch->key, "-", "+"};

    require(own->seen->up && own->got == own->asked);
    own->turns++;
    own->got = 0;
    for (own->asked = 0; own->asked < 1 + own->place % 2; own->asked++) {
        rs_watcher_ask(own->seen->watcher, RS_ARRAY_LEN(argv), argv);
    }
}

static void watch_remove(seen_t *seen, int place)
{
    if (seen->watchers[place]) {
        rs_watcher_remove(seen->watcher, &seen->watchers[place]->watch);
        free(seen->watchers[place]);
        seen->watchers[place] = NULL;
    }
}

static int watch_reply(rs_watch_t *watch, int n, redisReply **reply, int last);

static void watch_add(seen_t *seen, int place)
{
    if (!seen->watchers[place]) {
        watcher_t *own = calloc(1, sizeof(*own));

        require(own != NULL);
        own->watch.key = keys[place % KEYS];
        own->watch.ask = watch_ask;
        own->watch.reply = watch_reply;
        own->seen = seen;
        own->place = place;
        seen->watchers[place] = own;
        rs_watcher_add(seen->watcher, &own->watch);
    }
}

/* An integer says what the owner does now, as far as it may. */
static int watch_reply(rs_watch_t *watch, int n, redisReply **reply, int last)
{
    watcher_t *own = (watcher_t *)watch;
    seen_t *seen = own->seen;
    int place = own->place, other = (place + 1) % (seen->nkeys + 1);

    require(seen->up && n == own->got && own->got < own->asked);
    own->got++;
    require(last == (own->got == own->asked));
    note(seen, &place, sizeof(place));
    note_reply(seen, *reply);
    if ((*reply)->type == REDIS_REPLY_STRING) {
        drop(seen);
        seen->taken = *reply;
        *reply = NULL;
        return 0;
    }
    switch ((*reply)->type == REDIS_REPLY_INTEGER ? (*reply)->integer : 0) {
    case 1:
        watch_remove(seen, place);
        return 0;
    case 2:
        watch_remove(seen, other);
        return 0;
    case 3:
        watch_add(seen, other);
        return 0;
    case 4:
        rs_watcher_touch(seen->watcher, watch);
        return 0;
    case 5:
        rs_watcher_fail(seen->watcher, "so it wants");
        return 0;
    case 6:
        return 1;
    default:
        return 0;
    }
}

static void on_watching(void *baton, int up)
{
    seen_t *seen = baton;
    int i;

    on_up(seen, up);
    for (i = 0; i <= KEYS; i++) {
        if (seen->watchers[i]) {
            seen->watchers[i]->asked = seen->watchers[i]->got = seen->watchers[i]->turns = 0;
        }
    }
}

/* Once it is up, everybody has had a turn, or waits for one. */
static void check_turns(const seen_t *seen)
{
    int i;

    for (i = 0; seen->watcher && seen->up && i <= KEYS; i++) {
        require(!seen->watchers[i] || seen->watchers[i]->turns || seen->watchers[i]->watch.queued);
    }
}

/* --- the other end --- */

/* What is sent to Redis must be commands: arrays of strings. */
static void check_commands(redisReader *commands, int fd)
{
    char buf[16384];
    void *reply;
    ssize_t n;

    while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        require(redisReaderFeed(commands, buf, (size_t)n) == REDIS_OK);
        while (require(redisReaderGetReply(commands, &reply) == REDIS_OK), reply) {
            const redisReply *command = reply;
            size_t i;

            require(command->type == REDIS_REPLY_ARRAY && command->elements >= 2);
            for (i = 0; i < command->elements; i++) {
                require(command->element[i]->type == REDIS_REPLY_STRING);
            }
            freeReplyObject(reply);
        }
    }
}

/* The ends of one or two connections. */
typedef struct {
    int n;
    int fd[2], closed[2];
    redisReader *commands[2];
    rs_poll_t *poll;
} peer_t;

static void turn(peer_t *peer, const seen_t *seen)
{
    rs_poll_event_t events[4];
    int i, n, turns = 0;

    while ((n = rs_poll_wait(peer->poll, events, RS_ARRAY_LEN(events), 0)) > 0) {
        require(++turns < 10000);
        for (i = 0; i < n; i++) {
            rs_link_io(events[i].data, events[i].events);
        }
        for (i = 0; i < peer->n; i++) {
            check_commands(peer->commands[i], peer->fd[i]);
        }
    }
    check_turns(seen);
}

static void say(peer_t *peer, const seen_t *seen, int which, const char *data, size_t size,
                size_t piece)
{
    while (size && !peer->closed[which]) {
        size_t n = size < piece ? size : piece;
        ssize_t sent = send(peer->fd[which], data, n, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            peer->closed[which] = 1; /* they have had enough */
            return;
        }
        require(sent == (ssize_t)n); /* it fits into the socket's buffer */
        data += n;
        size -= n;
        turn(peer, seen);
    }
}

static void converse(rs_poll_t *poll, const seen_t *seen, int login, const char *data, size_t size,
                     size_t piece)
{
    peer_t peer = {seen->watcher ? 2 : 1, {-1, -1}, {0, 0}, {NULL, NULL}, poll};
    int i, which = 0;

    for (i = 0; i < peer.n; i++) {
        peer.fd[i] = accept(listener, NULL, NULL);
        require(peer.fd[i] >= 0);
        peer.commands[i] = redisReaderCreate();
    }
    for (i = 0; login && i < peer.n; i++) {
        say(&peer, seen, i, "+OK\r\n", 5, 5);
    }
    while (size) {
        const char *change = peer.n == 2 ? memchr(data, OTHER_CONNECTION, size) : NULL;
        size_t n = change ? (size_t)(change - data) : size;

        say(&peer, seen, which, data, n, piece);
        which = !which;
        data += n + (change != NULL);
        size -= n + (change != NULL);
    }
    for (i = 0; i < peer.n; i++) {
        shutdown(peer.fd[i], SHUT_WR);
        turn(&peer, seen);
    }
    for (i = 0; i < peer.n; i++) {
        redisReaderFree(peer.commands[i]);
        close(peer.fd[i]);
    }
}

static void begin(seen_t *seen, apr_pool_t *p, rs_poll_t *poll, char what)
{
    rs_reader_calls_t reads = {on_ask, on_take, on_answered, on_batch_end, on_up, seen};
    rs_watcher_calls_t watches = {on_watching, seen};
    rs_reader_t *reader = NULL;
    apr_status_t rv;
    int i;

    if (what == 'l') {
        seen->job = (rs_job_t){
            .ask = job_ask, .reply = job_reply, .over = job_over, .down = job_down};
        rv = rs_loader_create(&seen->loader, p, poll, NULL, url);
        require(rv == APR_SUCCESS);
        rs_loader_post(seen->loader, &seen->queue, &seen->job);
        rs_loader_turn(seen->loader, rs_clock_now());
    }
    else if (what == 'w') {
        rv = rs_watcher_create(&seen->watcher, p, poll, NULL, url, &watches);
        require(rv == APR_SUCCESS);
        for (i = 0; i <= seen->nkeys; i++) {
            watch_add(seen, i);
        }
        rs_watcher_turn(seen->watcher, rs_clock_now());
    }
    else {
        rv = rs_reader_create(&reader, p, poll, NULL, url, keys, seen->nkeys, 2,
                              apr_time_from_sec(1), &reads);
        require(rv == APR_SUCCESS);
        rs_reader_turn(reader, rs_clock_now());
    }
}

static void run(apr_pool_t *parent, seen_t *seen, const char *data, size_t size, size_t piece)
{
    rs_poll_t *poll;
    apr_pool_t *p;
    int i;

    memset(seen, 0, sizeof(*seen));
    seen->nkeys = 1 + (unsigned char)data[1] % KEYS;
    apr_pool_create(&p, parent);
    require(rs_poll_create(&poll, p) == APR_SUCCESS);
    begin(seen, p, poll, data[0] | 32);
    converse(poll, seen, data[0] >= 'a', data + 2, size - 2, piece);
    if (seen->loader) {
        rs_loader_abort(seen->loader);
        require(seen->over == 1);
    }
    else {
        require(!seen->up && (seen->watcher ? seen->downs >= 1 : seen->downs == 1));
    }
    for (i = 0; i <= KEYS; i++) {
        watch_remove(seen, i);
    }
    drop(seen);
    apr_pool_destroy(p);
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    apr_time_t begun = rs_clock_now();
    seen_t whole, pieces;

    if (size < 3 || size > 60000 || !memchr("rRlLwW", data[0], 6)
        || fuzz_resp_too_many(data, size)) {
        return;
    }
    run(p, &whole, data, size, size);
    run(p, &pieces, data, size, 1 + size / 16);
    /* Once a second the reader asks for positions in between, and the watcher's keys have their
     * turns in the order of a hash that is another one each time: then it may differ. */
    if (!whole.watcher && rs_clock_now() - begun < apr_time_from_msec(500)) {
        require(whole.trace == pieces.trace && whole.batches == pieces.batches);
        require(whole.rounds == pieces.rounds && whole.downs == pieces.downs);
    }
}
