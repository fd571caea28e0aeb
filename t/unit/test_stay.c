/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a client of a streamer may stay: it is asked for a new token when that is due, once; one
 * that is its own prolongs it, one that is not does nothing; and it has to come anew after a time.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/rs_clock.h"
#include "log/rs_client.h"
#include "log/rs_command.h"
#include "log/rs_profile.h"
#include "log/rs_renewals.h"
#include "log/rs_source.h"
#include "log/rs_topics.h"
#include "stream/rs_streamer.h"
#include "tap.h"
#include "wire/rs_wire.h"

#define SEC(n) apr_time_from_sec(n)
#define TURNS 2000

static apr_pool_t *pool;
static rs_common_t common;
static rs_topics_t topics;
static rs_stream_stats_t stream_stats;
static rs_stream_t stream;
static rs_source_t source;
static rs_key_t key;
static rs_topic_t *topic;
static rs_streamer_t *streamer;
static rs_profile_t profile;

/* What came of a stream. */
typedef struct {
    int fd;
    rs_client_t *client;
    char connection[RS_CONNECTION_ID_LEN];
    char text[16384];
    size_t len;
} peer_t;

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
    rs_registry_open(&common.registry, pool, 1, 100);
    rs_registry_claim(common.registry);
    common.renewals = rs_renewals_open(pool);
    topics.common = &common;
    stream.key = key.name = "k";
    stream.stats = &stream_stats;
    source.topics = &topics;
    source.streams = &stream;
    source.nstreams = 1;
    source.revoked = rs_revoked_create();
    pthread_mutex_init(&source.lock, NULL);
    key.source = &source;
    topic = rs_topic_create(&source, 1, keys);
    rs_streamer_create(&streamer, pool, &common, 0);
    profile.source = &source;
    profile.wire = &rs_wire_sse;
    profile.streams = 1;
    profile.name = "s";
    profile.stall = SEC(60);
    profile.challenge = SEC(60);
}

/* Whose token ends in `left` and has lived for `lives` by then. */
static void come(peer_t *peer, const rs_profile_t *as, apr_interval_time_t left,
                 apr_interval_time_t lives)
{
    rs_arrival_t who = {.realm = "r", .tenant = "t", .user = "u", .profile = "s"};
    rs_client_params_t params = {.profile = as,
                                 .tenant = "t",
                                 .user = "u",
                                 .cursor = "",
                                 .tenant_json = "1",
                                 .user_json = "1",
                                 .place = 7,
                                 .lives = lives};
    int pair[2];

    memset(peer, 0, sizeof(*peer));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    peer->fd = pair[1];
    common.arriving++;
    rs_registry_enter(common.registry, &who, &params.seat);
    rs_registry_id(common.registry, params.seat, peer->connection);
    params.expires = left ? apr_time_now() + left : 0;
    params.conn.fd = pair[0];
    params.conn.transport = &rs_transport_socket;
    rs_transport_socket_setup(pair[0], 16 * 1024);
    peer->client = rs_client_create(&params);
    peer->client->topic = topic;
    peer->client->follow = rs_topic_follow(topic, common.streamer[0], 0);
    peer->client->streamer = common.streamer[0];
    peer->client->recovery = "new";
    rs_source_cursor(&source, topic, &peer->client->resume->own);
    peer->client->seq = rs_topic_next(topic);
    rs_inbox_post(common.streamer[0], &peer->client->msg, RS_MSG_ATTACH);
}

static void turn(peer_t *peer)
{
    ssize_t n;

    rs_streamer_turn(streamer);
    n = recv(peer->fd, peer->text + peer->len, sizeof(peer->text) - 1 - peer->len, MSG_DONTWAIT);
    peer->len += n > 0 ? (size_t)n : 0;
}

/* Whether it is told that. */
static int hears(peer_t *peer, const char *what)
{
    int i;

    for (i = 0; i < TURNS && !strstr(peer->text, what); i++) {
        turn(peer);
    }
    return strstr(peer->text, what) != NULL;
}

static int times(const peer_t *peer, const char *what)
{
    const char *at = peer->text;
    int n = 0;

    for (; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

static void leave(peer_t *peer)
{
    close(peer->fd);
    rs_streamer_turn(streamer);
}

static void test_challenge(void)
{
    char want[200];
    peer_t peer, other;
    int i;

    come(&peer, &profile, SEC(40), SEC(1000));
    apr_snprintf(want, sizeof(want),
                 "event: challenge\ndata: {\"connection\":\"%s\",\"expires_in\":", peer.connection);
    ok(hears(&peer, want), "a token that ends is asked for another one");
    come(&other, &profile, SEC(40), SEC(100));
    hears(&other, "connected");
    for (i = 0; i < 5; i++) {
        turn(&other);
        turn(&peer);
    }
    ok(!times(&other, "challenge"), "of a short life its last fifth is left for that");
    is_int(times(&peer, "challenge"), 1, "who was asked is not asked again");
    leave(&other);
    leave(&peer);
}

static void collect(void *ticket, const rs_ticket_t *of) { *(rs_ticket_t *)ticket = *of; }

/* Brings one as the hub does; what becomes of it. */
static rs_renewed_t bring(const peer_t *peer, const rs_renewal_t *what)
{
    rs_whom_t whom = {.realm = "r", .tenant = "t"};
    rs_renewal_t renewal = *what, taken;
    rs_ticket_t ticket = {0, 0};
    rs_command_t *command;
    apr_uint32_t seen = 0;
    apr_uint64_t posted;

    apr_cpystrn(renewal.id, peer->connection, sizeof(renewal.id));
    posted = rs_renewals_post(common.renewals, getpid(), &renewal);
    command = rs_command_create(0);
    rs_renewals_take(common.renewals, &seen, &taken, &command->waiting);
    command->renews = 1;
    command->renewal = taken;
    command->renewals = common.renewals;
    rs_registry_own(common.registry, &whom, peer->connection, collect, &ticket);
    rs_command_add(command, &ticket);
    rs_inbox_post(common.streamer[0], &command->orders[0].msg, RS_MSG_ORDER);
    rs_streamer_turn(streamer);
    return rs_renewals_wait(common.renewals, posted, 0);
}

static void test_renewals(void)
{
    rs_renewal_t good = {.tenant = "t", .user = "u", .jti = "j", .place = 7}, what;
    apr_time_t before;
    peer_t peer;

    good.exp = apr_time_now() + SEC(1000);
    come(&peer, &profile, SEC(40), SEC(1000));
    ok(hears(&peer, "challenge"), "one that ends");
    before = peer.client->expires;
    what = good;
    strcpy(what.user, "v");
    is_int(bring(&peer, &what), RS_RENEW_OTHER, "of another user");
    what = good;
    strcpy(what.tenant, "v");
    is_int(bring(&peer, &what), RS_RENEW_OTHER, "of another tenant");
    what = good;
    what.place = 8;
    is_int(bring(&peer, &what), RS_RENEW_OTHER, "at another place");
    rs_revoked_set(source.revoked, "j//bad", apr_time_sec(apr_time_now()) + 100);
    what = good;
    strcpy(what.jti, "bad");
    is_int(bring(&peer, &what), RS_RENEW_REVOKED, "revoked");
    what = good;
    what.exp = apr_time_now() + SEC(20);
    is_int(bring(&peer, &what), RS_RENEWED, "one that ends earlier");
    ok(peer.client->expires == before && !peer.client->challenge, "all that changes nothing");
    is_int(bring(&peer, &good), RS_RENEWED, "a good one");
    ok(peer.client->expires > before + SEC(900) && peer.client->challenge > before, "prolongs it");
    what = good;
    what.exp = 0;
    is_int(bring(&peer, &what), RS_RENEWED, "one without an end");
    ok(!peer.client->expires && !peer.client->challenge, "for ever");
    leave(&peer);
    is_int(bring(&peer, &good), RS_RENEW_GONE, "who has gone");
}

static void test_reauthorize(void)
{
    rs_profile_t brief = profile;
    peer_t peer;

    brief.reauthorize = apr_time_from_msec(400);
    come(&peer, &brief, 0, 0);
    ok(hears(&peer, "\"code\":\"reauthorize\""), "it is told to come anew");
    leave(&peer);
}

static void end_world(void)
{
    rs_msg_t *msg, *next;

    rs_streamer_end(streamer);
    for (msg = rs_inbox_drain(common.hub); msg; msg = next) {
        next = msg->next;
        if (msg->kind == RS_MSG_RELEASE) {
            rs_common_destroy(&common, (rs_client_t *)msg);
        }
    }
    rs_topic_free(topic);
    rs_census_close(&common.census);
    rs_revoked_free(source.revoked);
    rs_registry_close(common.registry);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    make_world();
    test_challenge();
    test_renewals();
    test_reauthorize();
    end_world();
    apr_pool_destroy(pool);
    return done_testing();
}
