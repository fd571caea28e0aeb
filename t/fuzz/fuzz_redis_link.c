/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis that says anything: the input is what it sends over a real socket, to the reader of
 * streams or to the loader of history. Whatever comes, and however it is cut into pieces, what the
 * two tell their owner must be the same, must follow the rules of their headers, and must end with
 * the connection.
 *
 * The first byte: r or R for the reader, l or L for the loader; the login is answered for r and l
 * and is part of the input for R and L. The second byte: how many keys or commands.
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
#include "fuzz.h"
#include "resp.h"

#define KEYS 4
#define ROUNDS 3

static const char *const keys[KEYS] = {"s1", "s2", "app:events", "s4"};
static char dir[200], path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static rs_redis_url_t *url;
static int listener;

/* What one run has seen. */
typedef struct {
    rs_link_t *link;
    apr_uint64_t trace; /* a hash of all calls, with what they were given */
    int nkeys;
    int up, downs, batches;
    /* The loader's job. */
    rs_job_t job;
    rs_loader_t *loader;
    int rounds, asked, next, over;
    redisReply *taken;
} seen_t;

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

static rs_id_t on_position(void *baton, int stream, const rs_history_t *history)
{
    seen_t *seen = baton;

    require(stream >= 0 && stream < seen->nkeys);
    note(seen, &stream, sizeof(stream));
    note(seen, &history->newest, sizeof(history->newest));
    note(seen, &history->first, sizeof(history->first));
    return history->newest;
}

static void on_entry(void *baton, int stream, rs_id_t id, const redisReply *fields)
{
    seen_t *seen = baton;

    require(stream >= 0 && stream < seen->nkeys && seen->up);
    note(seen, &stream, sizeof(stream));
    note(seen, &id, sizeof(id));
    note_reply(seen, fields);
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

static void job_start(rs_job_t *job)
{
    of(job)->rounds = 1;
    ask(of(job));
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
    if (last && seen->rounds++ < ROUNDS) {
        ask(seen);
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

static void turn(rs_poll_t *poll, redisReader *commands, int fd)
{
    rs_poll_event_t events[4];
    int i, n, turns = 0;

    /* The link's socket is always writable in the end, so it ends when nothing is to be done. */
    while ((n = rs_poll_wait(poll, events, RS_ARRAY_LEN(events), 0)) > 0) {
        require(++turns < 10000);
        for (i = 0; i < n; i++) {
            rs_link_io(events[i].data, events[i].events);
        }
        check_commands(commands, fd);
    }
}

static void converse(rs_poll_t *poll, int login, const char *data, size_t size, size_t piece)
{
    int fd = accept(listener, NULL, NULL);
    redisReader *commands = redisReaderCreate();

    require(fd >= 0 && size < 65000); /* fits into the socket's buffer */
    if (login) {
        require(send(fd, "+OK\r\n", 5, MSG_NOSIGNAL) == 5);
        turn(poll, commands, fd);
    }
    while (size) {
        size_t n = size < piece ? size : piece;
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            break; /* they have had enough */
        }
        require(sent == (ssize_t)n);
        data += n;
        size -= n;
        turn(poll, commands, fd);
    }
    shutdown(fd, SHUT_WR);
    turn(poll, commands, fd);
    redisReaderFree(commands);
    close(fd);
}

static void run(apr_pool_t *parent, seen_t *seen, const char *data, size_t size, size_t piece)
{
    rs_reader_calls_t calls = {on_position, on_entry, on_batch_end, on_up, seen};
    int loads = (data[0] | 32) == 'l';
    rs_reader_t *reader = NULL;
    rs_poll_t *poll;
    apr_pool_t *p;

    memset(seen, 0, sizeof(*seen));
    seen->nkeys = 1 + (unsigned char)data[1] % KEYS;
    apr_pool_create(&p, parent);
    require(rs_poll_create(&poll, p) == APR_SUCCESS);
    if (loads) {
        seen->job = (rs_job_t){NULL, 0, job_start, job_reply, job_over, job_down};
        require(rs_loader_create(&seen->loader, p, poll, url) == APR_SUCCESS);
        rs_loader_post(seen->loader, &seen->job);
        rs_loader_turn(seen->loader, rs_clock_now());
    }
    else {
        require(rs_reader_create(&reader, p, poll, url, keys, seen->nkeys, 2, apr_time_from_sec(1),
                                 &calls)
                == APR_SUCCESS);
        rs_reader_turn(reader, rs_clock_now());
    }
    converse(poll, data[0] >= 'a', data + 2, size - 2, piece);
    if (loads) {
        rs_loader_abort(seen->loader);
        require(seen->over == 1);
        drop(seen);
    }
    else {
        require(seen->downs == 1 && !seen->up);
    }
    apr_pool_destroy(p);
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    apr_time_t begun = rs_clock_now();
    seen_t whole, pieces;

    if (size < 3 || size > 60000 || !memchr("rRlL", data[0], 4) || fuzz_resp_too_many(data, size)) {
        return;
    }
    run(p, &whole, data, size, size);
    run(p, &pieces, data, size, 1 + size / 16);
    /* Once a second the reader asks for positions in between: then it may differ. */
    if (rs_clock_now() - begun < apr_time_from_msec(500)) {
        require(whole.trace == pieces.trace && whole.batches == pieces.batches);
        require(whole.rounds == pieces.rounds && whole.downs == pieces.downs);
    }
}
