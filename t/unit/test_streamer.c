/* SPDX-License-Identifier: Apache-2.0
 *
 * A streamer, and that nobody has it for long: who has few bytes ask for many answers is heard in
 * parts, all of it and in order, be its socket full or not; many large events go out in parts. What
 * is for one user alone puts off the heartbeat of that one. It ends after the last client that was
 * let in.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/rs_clock.h"
#include "log/rs_client.h"
#include "log/rs_profile.h"
#include "log/rs_source.h"
#include "log/rs_topics.h"
#include "proto/rs_ws.h"
#include "stream/rs_feed.h"
#include "stream/rs_streamer.h"
#include "tap.h"
#include "wire/rs_frames.h"
#include "wire/rs_wire.h"

/* What one turn may come to: two hearings, each of four times so much, and each time up to a
 * message's answer beyond it. */
#define TURN (12 * 16 * 1024)

#define ASK "{\"type\":\"get_stats\"}"
#define ASKED 400
#define USERS 60
#define LARGE (256 * 1024)

static apr_pool_t *pool;
static rs_common_t common;
static rs_topics_t topics;
static rs_stream_stats_t stream_stats;
static rs_redis_url_t url = {.label = "redis://127.0.0.1:6379/0"};
static rs_stream_t stream;
static rs_source_t source;
static rs_key_t key;
static rs_topic_t *topic;
static rs_streamer_t *streamer;
static rs_profile_t profile;
static int users[USERS][2];

static void make_world(void)
{
    rs_key_t *keys[] = {&key};
    rs_poll_t *poll;

    rs_poll_create(&poll, pool);
    common.hub = apr_pcalloc(pool, sizeof(*common.hub));
    rs_inbox_open(common.hub, poll);
    common.stats = apr_pcalloc(pool, sizeof(*common.stats));
    common.cache = 1024 * 1024;
    common.nstreamers = 1;
    rs_census_open(&common.census);
    rs_registry_open(&common.registry, pool, 1, 1000);
    rs_registry_claim(common.registry);
    topics.common = &common;
    stream.key = key.name = "k";
    stream.stats = &stream_stats;
    source.topics = &topics;
    source.url = &url;
    source.streams = &stream;
    source.nstreams = 1;
    pthread_mutex_init(&source.lock, NULL);
    key.source = &source;
    topic = rs_topic_create(&source, 1, keys);
    rs_streamer_create(&streamer, pool, &common, 0);
    profile.source = &source;
    profile.wire = &rs_wire_websocket;
    profile.streams = 1;
    profile.name = "ws";
    profile.max_heard = 65536;
    profile.stall = apr_time_from_sec(60);
    profile.heartbeat = apr_time_from_sec(60);
}

static rs_client_t *attach(int fd, const rs_profile_t *as, const char *user, const rs_buf_t *early)
{
    rs_client_params_t params = {.profile = as, .tenant = "t", .user = user, .cursor = ""};
    rs_arrival_t who = {.realm = as->source->url->label,
                        .tenant = "t",
                        .user = user,
                        .profile = as->name,
                        .via = RS_VIA_WEBSOCKET};
    rs_client_t *client;

    common.arriving++;
    rs_registry_enter(common.registry, &who, &params.seat);
    params.conn.fd = fd;
    params.conn.transport = &rs_transport_socket;
    params.tenant_json = params.user_json = "1";
    params.early = early->data;
    params.early_len = early->len;
    rs_transport_socket_setup(fd, 16 * 1024);
    client = rs_client_create(&params);
    client->topic = topic;
    client->follow = rs_topic_follow(topic, common.streamer[0], 0);
    client->streamer = common.streamer[0];
    client->recovery = "new";
    rs_source_cursor(&source, topic, &client->resume->own);
    client->seq = rs_topic_next(topic);
    rs_inbox_post(common.streamer[0], &client->msg, RS_MSG_ATTACH);
    return client;
}

/* How often that was answered; all that came is added up in *bytes. */
static int answers(int fd, size_t *bytes)
{
    static const char answer[] = "\"type\":\"stats\"";
    static char buf[1024 * 1024];
    static size_t kept;
    ssize_t n = recv(fd, buf + kept, sizeof(buf) - kept, MSG_DONTWAIT);
    char *at = buf, *end;
    int found = 0;

    if (n <= 0) {
        return 0;
    }
    *bytes += (size_t)n;
    end = buf + kept + n;
    while ((at = memmem(at, (size_t)(end - at), answer, sizeof(answer) - 1))) {
        at += sizeof(answer) - 1;
        found++;
    }
    kept = sizeof(answer) - 2 < (size_t)(end - buf) ? sizeof(answer) - 2 : (size_t)(end - buf);
    memmove(buf, end - kept, kept);
    return found;
}

static void say(rs_buf_t *b, const char *text)
{
    unsigned char head[] = {0x81, (unsigned char)(0x80 | strlen(text)), 0, 0, 0, 0};

    rs_buf_add(b, (const char *)head, sizeof(head));
    rs_buf_puts(b, text);
}

/* As early bytes, or as what is said later; with a socket that has room for all, or for little. */
static void test_spam(int early, int room)
{
    rs_buf_t all = RS_BUF_INIT, none = RS_BUF_INIT;
    size_t bytes = 0, said = 0;
    int pair[2], i, got = 0, turns = 0, most = 0;

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    for (i = 0; i < ASKED; i++) {
        say(&all, ASK);
    }
    attach(pair[0], &profile, "", early ? &all : &none);
    if (room) {
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){4 * 1024 * 1024}, sizeof(int));
    }
    said = early ? all.len : 0;
    while (got < ASKED && turns < 20000) {
        size_t before = bytes;
        ssize_t n =
            said < all.len ? send(pair[1], all.data + said, all.len - said, MSG_DONTWAIT) : 0;

        said += n > 0 ? (size_t)n : 0;
        rs_streamer_turn(streamer);
        turns++;
        do {
            i = (int)bytes;
            got += answers(pair[1], &bytes);
        } while (i != (int)bytes);
        most = (int)(bytes - before) > most ? (int)(bytes - before) : most;
    }
    printf("# %d turns, at most %d bytes in one\n", turns, most);
    is_int(got, ASKED, early ? "what came before the stream is answered" : "all of it is answered");
    ok(most < (int)TURN, "in parts");
    close(pair[1]);
    rs_streamer_turn(streamer);
    rs_buf_free(&all);
}

/* Clients of users with names of such a length that there is much to tell. */
static void populate(void)
{
    rs_buf_t nothing = RS_BUF_INIT;
    char name[64];
    int i;

    for (i = 0; i < USERS; i++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, users[i]);
        apr_snprintf(name, sizeof(name), "5f0c1a6e-6a3b-4c1d-9e77-5f0c1a6e6a3b4c1d9e77-%012d", i);
        attach(users[i][0], &profile, name, &nothing);
    }
    rs_streamer_turn(streamer);
}

/* A tenant of the same name of another Redis. */
static void test_namesake(void)
{
    static const char want[] = "\"connections_by_tenant\":{\"t\":1},"
                               "\"connections_by_user\":{\"only\":1}";
    static rs_redis_url_t elsewhere = {.label = "redis://127.0.0.1:6379/1"};
    static rs_source_t theirs;
    rs_profile_t other = profile;
    rs_buf_t ask = RS_BUF_INIT;
    char buf[64 * 1024];
    int pair[2];
    ssize_t n;

    theirs.topics = &topics;
    theirs.url = &elsewhere;
    other.source = &theirs;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    say(&ask, ASK);
    attach(pair[0], &other, "only", &ask);
    rs_streamer_turn(streamer);
    n = recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT);
    ok(n > 0 && memmem(buf, (size_t)n, want, sizeof(want) - 1),
       "what a tenant is told is not of another one of this name");
    close(pair[1]);
    rs_streamer_turn(streamer);
    rs_buf_free(&ask);
}

static rs_event_t *event_of(const char *data, size_t len, apr_uint64_t ms)
{
    static rs_buf_t scratch;
    rs_entry_t entry = {.type = {"t", 1}, .data = {data, len}};
    rs_cursor_t cursor = {1, &topic->tags, {{ms, 0}}};

    return rs_frames_event(&scratch, &entry, 0, (rs_id_t){ms, 0}, &cursor);
}

/* Events of a quarter of a megabyte, to be compressed for one that is LIVE. */
static void test_large(void)
{
    rs_follow_t *follow = rs_topic_follow(topic, common.streamer[0], 0);
    rs_profile_t packed = profile;
    rs_buf_t none = RS_BUF_INIT, text = RS_BUF_INIT;
    apr_uint64_t start = rs_topic_next(topic), most = 0, before = start, now = start;
    rs_client_t *client;
    int pair[2], i, turns;

    packed.wire = rs_wire_deflated(&rs_wire_websocket, 1024);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    client = attach(pair[0], &packed, "", &none);
    for (turns = 0; client->state != RS_LIVE && turns < 1000; turns++) {
        rs_streamer_turn(streamer);
    }
    for (i = 0; text.len < LARGE; i++) {
        rs_buf_printf(&text, "%s{\"n\":%d}", i ? "," : "[", i);
    }
    rs_buf_puts(&text, "]");
    for (i = 0; i < 64; i++) {
        rs_topic_append(topic, event_of(text.data, text.len, (apr_uint64_t)i + 1), rs_clock_now(),
                        0);
    }
    __atomic_store_n(&follow->queued, 1, __ATOMIC_SEQ_CST);
    rs_inbox_post(common.streamer[0], &follow->dirty, RS_MSG_DIRTY);
    for (turns = 0; now < start + 64 && turns < 1000; turns++) {
        rs_streamer_turn(streamer);
        now = __atomic_load_n(&follow->consumed, __ATOMIC_RELAXED);
        most = now - before > most ? now - before : most;
        before = now;
    }
    printf("# %d turns, at most %d events in one\n", turns, (int)most);
    ok(now == start + 64 && most <= 8, "large events go out in parts");
    close(pair[1]);
    rs_streamer_turn(streamer);
    rs_buf_free(&text);
}

/* Two of one feed, and an event for one of them. */
static void test_directed(void)
{
    static rs_buf_t scratch;
    rs_follow_t *follow = rs_topic_follow(topic, common.streamer[0], 0);
    rs_entry_t entry = {.type = {"t", 1}, .data = {"1", 1}, .user = {"7", 1}};
    rs_cursor_t cursor = {1, &topic->tags, {{100, 0}}};
    rs_profile_t own = profile;
    rs_buf_t none = RS_BUF_INIT;
    rs_client_t *its, *other;
    apr_time_t entered, before;
    int pair[2][2], turns;

    own.user_only = 1;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair[1]);
    its = attach(pair[0][0], &own, "7", &none);
    other = attach(pair[1][0], &own, "8", &none);
    for (turns = 0; (its->state != RS_LIVE || other->state != RS_LIVE) && turns < 1000; turns++) {
        rs_streamer_turn(streamer);
    }
    entered = rs_feed_last_out(other);
    do { /* what is written from here on can be told by the time */
        before = rs_clock_now();
    } while (before <= entered || before <= rs_feed_last_out(its));
    rs_topic_append(topic, rs_frames_event(&scratch, &entry, 0, (rs_id_t){100, 0}, &cursor),
                    rs_clock_now(), 0);
    __atomic_store_n(&follow->queued, 1, __ATOMIC_SEQ_CST);
    rs_inbox_post(common.streamer[0], &follow->dirty, RS_MSG_DIRTY);
    for (turns = 0; its->events == 0 && turns < 1000; turns++) {
        rs_streamer_turn(streamer);
    }
    ok(its->events == 1 && rs_feed_last_out(its) >= before,
       "what is for one user puts off that one's heartbeat");
    ok(other->events == 0 && rs_feed_last_out(other) == entered, "and no other's");
    close(pair[0][1]);
    close(pair[1][1]);
    rs_streamer_turn(streamer);
}

/* A request was let in before the child was told to end, and its stream comes after that. */
static void test_drain(void)
{
    static const rs_buf_t none = RS_BUF_INIT;
    char said[4096];
    ssize_t n;
    int pair[2], i, turns, goes_on = 1;

    for (i = 0; i < USERS; i++) {
        shutdown(users[i][1], SHUT_RDWR);
    }
    for (turns = 0; common.stats->connections && turns < 1000; turns++) {
        rs_streamer_turn(streamer);
    }
    common.arriving++;
    rs_streamer_drain(streamer, 0, apr_time_from_sec(60));
    for (turns = 0; turns < 3; turns++) {
        goes_on &= rs_streamer_turn(streamer);
    }
    ok(goes_on, "a streamer without clients waits for one that was let in");
    common.arriving--;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    attach(pair[0], &profile, "", &none);
    goes_on = rs_streamer_turn(streamer);
    n = recv(pair[1], said, sizeof(said) - 1, MSG_DONTWAIT);
    said[n > 0 ? n : 0] = '\0';
    ok(goes_on && n > 0 && memmem(said, (size_t)n, "draining", 8), "which is told to come back");
    close(pair[1]);
    for (turns = 0; rs_streamer_turn(streamer) && turns < 1000; turns++) {
    }
    ok(turns < 1000, "and then it is over");
}

static void end_world(void)
{
    rs_msg_t *msg, *next;

    int i;

    rs_streamer_end(streamer);
    for (i = 0; i < USERS; i++) {
        close(users[i][1]);
    }
    for (msg = rs_inbox_drain(common.hub); msg; msg = next) {
        next = msg->next;
        if (msg->kind == RS_MSG_RELEASE) {
            rs_common_destroy(&common, (rs_client_t *)msg);
        }
    }
    rs_topic_free(topic);
    rs_census_close(&common.census);
    rs_registry_close(common.registry);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    make_world();
    populate();
    test_spam(1, 1);
    test_spam(0, 1);
    test_spam(1, 0);
    test_spam(0, 0);
    test_namesake();
    test_large();
    test_directed();
    test_drain();
    end_world();
    apr_pool_destroy(pool);
    return done_testing();
}
