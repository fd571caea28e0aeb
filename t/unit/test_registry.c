/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: ids, counts and lists over real processes, some of which are killed.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "log/rs_registry_int.h"
#include "tap.h"

#define REALM "redis://127.0.0.1:6379/0"

static rs_registry_t *registry;

static rs_enter_t come(const char *tenant, const char *user, unsigned tenant_max, unsigned user_max,
                       int *seat)
{
    rs_arrival_t who = {.realm = REALM,
                        .tenant = tenant,
                        .user = user,
                        .profile = "orders",
                        .via = RS_VIA_NDJSON,
                        .tenant_max = tenant_max,
                        .user_max = user_max};

    return rs_registry_enter(registry, &who, seat);
}

static unsigned listed(const char *tenant, const char *user)
{
    rs_whom_t whom = {.realm = REALM, .tenant = tenant, .user = user};
    apr_uint64_t at = 0;
    rs_record_t record;
    unsigned n = 0;

    while (rs_registry_next(registry, &at, &whom, &record)) {
        n++;
    }
    return n;
}

/* Runs in a process of its own until it is killed; returns once it has said something. */
static pid_t child(void (*run)(void))
{
    int said[2];
    char byte;
    pid_t pid;

    fflush(stdout); /* or the child says it again when it ends */
    if (pipe(said) != 0 || (pid = fork()) < 0) {
        abort();
    }
    if (pid == 0) {
        close(said[0]);
        rs_registry_claim(registry);
        run();
        (void)!write(said[1], "", 1);
        for (;;) {
            pause();
        }
    }
    close(said[1]);
    (void)!read(said[0], &byte, 1);
    close(said[0]);
    return pid;
}

static void end_of(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* --- ids --- */

static void ids(void)
{
    static const unsigned char secret[16] = {1, 2, 3}, other[16] = {4};
    rs_connection_id_t id = {(apr_uint64_t)7 << 32 | 12345, 0x0123456789abcdefULL, 0xfedcba98},
                       got = {0, 0, 0};
    char text[RS_CONNECTION_ID_LEN], node[RS_NODE_LEN + 1];

    rs_connection_id_node(node, (const unsigned char *)"\0\1\2\3\377");
    is_int((long long)strlen(node), RS_NODE_LEN, "a node's name");
    rs_connection_id_format(text, node, &id, secret);
    ok(strlen(text) == RS_CONNECTION_ID_LEN - 1 && strlen(text) <= 64, "an id: %s", text);
    ok(!strncmp(text, node, RS_NODE_LEN), "names its node");
    ok(rs_connection_id_parse(&got, text, secret) && got.place == id.place
           && got.random == id.random && got.more == id.more,
       "is read as it was written");
    ok(rs_connection_id_parse(&got, text, other) && got.place != id.place,
       "does not say where its record stands");
    text[12] = text[12] == 'a' ? 'b' : 'a';
    ok(rs_connection_id_parse(&got, text, secret) && memcmp(&got, &id, sizeof(id)) != 0,
       "another one is another one");
    text[12] = '!';
    ok(!rs_connection_id_parse(&got, text, secret), "what has other characters is none");
    ok(!rs_connection_id_parse(&got, "", secret), "nothing is none");
    ok(!rs_connection_id_parse(&got, node, secret), "a node is none");
}

/* --- one child --- */

static void alone(void)
{
    rs_whom_t all = {.realm = REALM};
    char id[RS_CONNECTION_ID_LEN];
    struct sockaddr_in in = {.sin_family = AF_INET};
    rs_arrival_t who = {.realm = REALM,
                        .tenant = "a",
                        .user = "u",
                        .profile = "p",
                        .via = RS_VIA_WEBSOCKET,
                        .address = (struct sockaddr *)&in};
    apr_time_t before = apr_time_now();
    apr_uint64_t at = 0;
    rs_record_t r;
    int seat;

    inet_pton(AF_INET, "192.0.2.7", &in.sin_addr);
    is_int(rs_registry_claim(registry), 1, "a place");
    is_int(rs_registry_enter(registry, &who, &seat), RS_ENTERED, "somebody comes");
    ok(rs_registry_next(registry, &at, &all, &r), "and is there");
    is_str(r.tenant, "a", "the tenant");
    is_str(r.user, "u", "the user");
    is_str(r.profile, "p", "the endpoint");
    is_str(r.position, "", "no position yet");
    is_str(r.via, "websocket", "the wire");
    is_str(r.remote, "192.0.2.7", "the address");
    ok(r.since >= before && r.since <= apr_time_now(), "since when");
    ok(r.events == 0 && r.pid == getpid(), "nothing yet, here");
    is_str(r.id, rs_registry_id(registry, seat, id), "the id");
    ok(!rs_registry_next(registry, &at, &all, &r), "nobody else is there");
    rs_registry_note(registry, seat, 17, "1795176800000-3");
    ok(rs_registry_find(registry, REALM, id, &r), "found by the id");
    ok(r.events == 17 && !strcmp(r.position, "1795176800000-3"), "with what was noted");
    rs_registry_note(registry, seat, 18, "1-0");
    ok(rs_registry_find(registry, REALM, id, &r) && !strcmp(r.position, "1-0"), "a shorter one");
    rs_registry_note(registry, seat, 19, NULL);
    ok(rs_registry_find(registry, REALM, id, &r) && !*r.position && r.events == 19, "none");
    ok(!rs_registry_find(registry, "redis://other", id, &r), "in another realm there is no such");
    rs_registry_leave(registry, seat);
}

static void long_names(void)
{
    char id[RS_CONNECTION_ID_LEN], long_name[RS_NAME_MAX + 1];
    rs_arrival_t who;
    rs_record_t r;
    int other;

    memset(long_name, 'x', RS_NAME_MAX);
    long_name[RS_NAME_MAX] = '\0';
    who = (rs_arrival_t){.realm = REALM,
                         .tenant = long_name,
                         .user = long_name,
                         .profile = long_name,
                         .via = RS_VIA_SSE};
    is_int(rs_registry_enter(registry, &who, &other), RS_ENTERED, "one with the longest names");
    rs_registry_note(registry, other, 1, "1795176800000-3");
    rs_registry_id(registry, other, id);
    ok(rs_registry_find(registry, REALM, id, &r) && !strcmp(r.profile, long_name)
           && !strcmp(r.position, "1795176800000-3"),
       "has room for the position");
    memset(r.text, 'y', 100);
    r.text[100] = '\0';
    rs_registry_note(registry, other, 2, r.text);
    ok(rs_registry_find(registry, REALM, id, &r) && !*r.position && r.events == 2,
       "for a very long one it has not");
    rs_registry_leave(registry, other);
    ok(!rs_registry_find(registry, REALM, id, &r), "who went is not found");
}

static void limits(void)
{
    int seat, other, full;

    is_int(come("a", "u", 0, 1, &seat), RS_ENTERED, "one of a user");
    is_int(come("a", "u", 0, 1, &full), RS_ENTER_USER_FULL, "one of a user: no second one");
    is_int(come("a", "v", 0, 1, &full), RS_ENTERED, "another user may");
    is_int(come("b", "u", 0, 1, &other), RS_ENTERED, "the same name of another tenant, too");
    rs_registry_leave(registry, other);
    is_int(come("a", "w", 2, 0, &other), RS_ENTER_TENANT_FULL, "two of a tenant: no third one");
    is_int(come("a", "", 3, 1, &other), RS_ENTERED, "nobody is no user");
    ok(rs_registry_count(registry, REALM, "a", NULL) == 3
           && rs_registry_count(registry, REALM, "a", "u") == 1
           && rs_registry_count(registry, REALM, "b", NULL) == 0
           && rs_registry_count(registry, "redis://other", "a", NULL) == 0,
       "who was refused does not count");
    is_int(listed("a", NULL), 3, "three in the list");
    is_int(listed("a", "u"), 1, "one of the user");
    is_int(listed("a:", NULL), 0, "none of a tenant with a similar name");
    rs_registry_leave(registry, other);
    rs_registry_leave(registry, full);
    rs_registry_leave(registry, seat);
    rs_registry_leave(registry, RS_NO_SEAT);
    is_int(rs_registry_count(registry, REALM, "a", NULL), 0, "all went");
    ok(RS_SEAT_FRONT * sizeof(apr_uint64_t) + sizeof(rs_served_t) + sizeof(apr_uint32_t)
               + 2 * (sizeof(rs_tally_t) + sizeof(rs_bucket_t))
           <= 200 + 72,
       "at most 200 bytes a connection beyond names");
}

/* --- who serves them --- */

static int called;
static rs_ticket_t last;

static void note(void *baton, const rs_ticket_t *ticket)
{
    called += *(int *)baton;
    last = *ticket;
}

static int found(const rs_whom_t *whom, const char *id)
{
    int one = 1;

    called = 0;
    rs_registry_own(registry, whom, id, note, &one);
    return called;
}

static void served(void)
{
    rs_arrival_t who = {.realm = REALM, .tenant = "s", .user = "u", .profile = "p", .jti = "j"};
    rs_whom_t tenant = {.realm = REALM, .tenant = "s"}, all = {.realm = REALM},
              user = {.realm = REALM, .tenant = "s", .user = "u"},
              token = {.realm = REALM, .jti = "j"}, other = {.realm = "other", .tenant = "s"};
    rs_client_t *client = (rs_client_t *)&who;
    char id[RS_CONNECTION_ID_LEN];
    int seat;

    is_int(found(&all, NULL), 0, "nobody is there");
    rs_registry_enter(registry, &who, &seat);
    ok(found(&tenant, NULL) == 1 && found(&user, NULL) == 1
           && found(&all, NULL) == 1,
       "found by tenant, by user, by nothing");
    is_int(found(&token, NULL), 1, "by token");
    is_int(found(&other, NULL), 0, "not in another realm");
    is_int(found(&all, rs_registry_id(registry, seat, id)), 1, "by id");
    is_int(found(&all, "x"), 0, "not by what is no id");
    ok(!rs_registry_served(registry, &last, 0), "nobody serves it");
    is_int(rs_registry_doom(registry, &last, "closed"), -1, "it is marked");
    is_str(rs_registry_serve(registry, seat, client, 1), "closed", "which its streamer hears");
    ok(rs_registry_served(registry, &last, 1) == client, "who is found by the ticket");
    ok(!rs_registry_served(registry, &last, 0), "by no other streamer");
    is_int(rs_registry_doom(registry, &last, NULL), 1, "it is known which streamer it is");
    rs_registry_renew(registry, seat, "k");
    is_int(found(&token, NULL), 0, "it has another token");
    token.jti = "k";
    is_int(found(&token, NULL), 1, "by that it is found");
    rs_registry_leave(registry, seat);
    ok(!rs_registry_served(registry, &last, 1) && rs_registry_doom(registry, &last, "closed") == -1,
       "the ticket is not good any more");
    rs_registry_enter(registry, &who, &seat);
    ok(!rs_registry_serve(registry, seat, client, 1), "the next one on its seat is not marked");
    ok(!rs_registry_served(registry, &last, 1), "nor found by the old ticket");
    rs_registry_leave(registry, seat);
}

/* --- pages --- */

static void pages(void)
{
    rs_whom_t whom = {.realm = REALM, .tenant = "pages"};
    int seats[100], i, n = 0;
    apr_uint64_t at = 0;
    rs_record_t r;

    for (i = 0; i < 100; i++) {
        come("pages", "u", 0, 0, &seats[i]);
    }
    while (n < 40 && rs_registry_next(registry, &at, &whom, &r)) {
        n++;
    }
    at = rs_registry_after(registry, r.id);
    rs_registry_leave(registry, seats[39]);
    while (rs_registry_next(registry, &at, &whom, &r)) {
        n++;
    }
    is_int(n, 100, "pages go on behind an id, also if that went meanwhile");
    is_int((long long)rs_registry_after(registry, "x"), 0, "what is no id has nothing behind it");
    for (i = 0; i < 100; i++) {
        if (i != 39) {
            rs_registry_leave(registry, seats[i]);
        }
    }
}

/* --- several --- */

static void three_come(void)
{
    int seat;

    come("k", "u", 0, 0, &seat);
    come("k", "u", 0, 0, &seat);
    come("k", "v", 0, 0, &seat);
}

static void killed(void)
{
    pid_t one = child(three_come), two = child(three_come);
    int seat;

    is_int(rs_registry_count(registry, REALM, "k", NULL), 6, "of two children");
    is_int(rs_registry_count(registry, REALM, "k", "u"), 4, "and of a user");
    is_int(listed("k", NULL), 6, "in the list");
    is_int(come("k", "u", 6, 0, &seat), RS_ENTER_TENANT_FULL, "they all count");
    end_of(one);
    /* Nobody was told: the one who is refused looks. */
    is_int(come("k", "u", 6, 3, &seat), RS_ENTERED, "one of them was killed, and counts no more");
    is_int(rs_registry_count(registry, REALM, "k", NULL), 4, "exactly");
    is_int(listed("k", "u"), 3, "nor is it in the list");
    end_of(two);
    rs_registry_gone(registry, two);
    is_int(rs_registry_count(registry, REALM, "k", NULL), 1, "the parent has seen the other go");
    rs_registry_leave(registry, seat);
}

/* Comes and goes, and is killed somewhere in between. */
static void in_the_middle(void)
{
    int round, wrong = 0;

    for (round = 0; round < 20; round++) {
        pid_t pid = (fflush(stdout), fork());

        if (pid == 0) {
            unsigned n = 0;

            rs_registry_claim(registry);
            for (;;) {
                char name[16];
                int seats[8], i;

                for (i = 0; i < 8; i++) {
                    snprintf(name, sizeof(name), "u%u", n++ % 1000);
                    come("r", name, 0, 0, &seats[i]);
                    rs_registry_note(registry, seats[i], n, "1-1");
                }
                for (i = 0; i < 8; i++) {
                    rs_registry_leave(registry, seats[i]);
                }
            }
        }
        while (!rs_registry_count(registry, REALM, "r", NULL)) {
            sched_yield();
        }
        wrong += rs_registry_count(registry, REALM, "r", NULL) > 8 || listed("r", NULL) > 8;
        end_of(pid);
        rs_registry_gone(registry, pid);
        wrong += rs_registry_count(registry, REALM, "r", NULL) != 0 || listed("r", NULL) != 0;
    }
    is_int(wrong, 0, "killed at any moment, nothing is left of it");
}

/* --- threads --- */

#define THREADS 4
#define LIMIT 2

static int most; /* atomic */
static int now;  /* atomic */

static void *comes_and_goes(void *data)
{
    unsigned i;

    (void)data;
    for (i = 0; i < 5000; i++) {
        int seat;

        if (come("limited", "u", LIMIT, 0, &seat) == RS_ENTERED) {
            int n = __atomic_add_fetch(&now, 1, __ATOMIC_SEQ_CST);

            if (n > __atomic_load_n(&most, __ATOMIC_RELAXED)) {
                __atomic_store_n(&most, n, __ATOMIC_RELAXED);
            }
            rs_registry_note(registry, seat, i, "17-1");
            (void)listed("limited", "u");
            __atomic_sub_fetch(&now, 1, __ATOMIC_SEQ_CST);
            rs_registry_leave(registry, seat);
        }
    }
    return NULL;
}

static void threads(void)
{
    pthread_t all[THREADS];
    int i;

    for (i = 0; i < THREADS; i++) {
        pthread_create(&all[i], NULL, comes_and_goes, NULL);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(all[i], NULL);
    }
    ok(most > 0 && most <= LIMIT, "never more than the limit (%d)", most);
    is_int(rs_registry_count(registry, REALM, "limited", NULL), 0, "none is left");
    is_int(listed("limited", NULL), 0, "in the list neither");
}

/* --- configurations --- */

static void another_configuration(apr_pool_t *p)
{
    rs_registry_t *again;
    pid_t old = child(three_come);

    is_int(rs_registry_open(&again, p, 2, 64), APR_SUCCESS, "the same configuration again");
    ok(again == registry, "is the same registry");
    is_int(rs_registry_open(&again, p, 3, 128), APR_SUCCESS,
           "more children, with more connections");
    is_int(rs_registry_count(registry, REALM, "k", NULL), 3,
           "those of an earlier child still count");
    is_int(listed("k", NULL), 3, "and are listed");
    end_of(old);
    rs_registry_gone(registry, old);
    is_int(rs_registry_count(registry, REALM, "k", NULL), 0, "until it is gone");
}

static void idle(void) {}

static void more_children_than_places(apr_pool_t *p)
{
    pid_t pids[3];
    int seat, status;

    is_int(rs_registry_open(&registry, p, 1, 16), APR_SUCCESS, "two places");
    pids[0] = child(idle);
    pids[1] = child(idle);
    fflush(stdout);
    pids[2] = fork();
    if (pids[2] == 0) {
        int wrong = rs_registry_claim(registry) != 0; /* each before the next one */

        wrong |= (come("t", "u", 1, 0, &seat) != RS_ENTERED) << 1;
        wrong |= (listed("t", NULL) != 1) << 2;
        _exit(wrong);
    }
    waitpid(pids[2], &status, 0);
    is_int(status, 0, "the third child has none, but serves, and knows its own");
    end_of(pids[0]);
    end_of(pids[1]);
    is_int(rs_registry_claim(registry), 1, "one that was not waited for gives its place back");
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    ids();
    is_int(rs_registry_open(&registry, p, 2, 128), APR_SUCCESS, "a registry");
    alone();
    long_names();
    limits();
    served();
    pages();
    killed();
    in_the_middle();
    threads();
    rs_registry_close(registry);
    apr_pool_clear(p);
    is_int(rs_registry_open(&registry, p, 2, 64), APR_SUCCESS, "another registry");
    rs_registry_claim(registry);
    another_configuration(p);
    rs_registry_close(registry);
    apr_pool_clear(p);
    more_children_than_places(p);
    rs_registry_close(registry);
    return done_testing();
}
