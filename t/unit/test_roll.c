/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is there, as one process of a node says it for all of them: the roll, who calls it, and the
 * census of WebSockets. Over real processes, some of which are killed.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/rs_clock.h"
#include "log/rs_census.h"
#include "log/rs_registry_int.h"
#include "log/rs_roll.h"
#include "tap.h"

#define REALM "redis://127.0.0.1:6379/0"
#define SEC apr_time_from_sec(1)

static rs_registry_t *registry;
static rs_roll_t *roll;

static int come_by(const char *tenant, const char *user, apr_uint64_t room, int via)
{
    rs_arrival_t who = {
        .realm = REALM, .tenant = tenant, .user = user, .profile = "p", .room = room, .via = via};
    int seat;

    rs_registry_enter(registry, &who, &seat);
    return seat;
}

static int come(const char *tenant, const char *user, apr_uint64_t room)
{
    return come_by(tenant, user, room, RS_VIA_SSE);
}

static void go(int seat) { rs_registry_leave(registry, seat); }

/* "TENANT/USER/ROOM=COUNT …" of those of whom there is something to tell; tells it. */
static const char *news(apr_time_t now)
{
    static char text[1000];
    rs_present_t *present;
    size_t n = 0;
    int count;

    text[0] = '\0';
    while (!rs_roll_call(roll, now)) {
    }
    while ((present = rs_roll_next(roll, NULL, now, &count)) != NULL) {
        n += (size_t)apr_snprintf(text + n, sizeof(text) - n, "%s%s/%s/%d=%d", n ? " " : "",
                                  present->tenant, present->user, (int)present->room, count);
        rs_roll_told(roll, present, count);
    }
    return text;
}

/* Runs in a process of its own until it is killed; returns once it has said something. */
static pid_t child(void (*run)(void))
{
    int said[2];
    char byte;
    pid_t pid;

    fflush(stdout);
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

/* --- the roll --- */

static void comes_and_goes(void)
{
    apr_time_t now = rs_clock_now();
    int one, two, other;

    is_str(news(now), "", "nobody");
    one = come("a", "u", 1);
    go(come("a", "flash", 1));
    other = come("a", "v", 0);
    is_str(news(now), "a/u/1=1", "one; who is not counted is not there, nor who went at once");
    is_str(news(now), "", "which is told once");
    two = come("a", "u", 1);
    is_str(news(now), "a/u/1=2", "two");
    go(one);
    is_str(news(now), "a/u/1=1", "one again");
    one = come("a", "u", 2);
    is_str(news(now), "a/u/2=1", "another room is another matter");
    go(two);
    is_str(news(now + SEC), "", "none, which may be a moment");
    is_str(news(now + 3 * SEC), "a/u/1=0", "it was none");
    is_str(news(now + 4 * SEC), "", "who may come back");
    two = come("a", "u", 1);
    is_str(news(now + 5 * SEC), "a/u/1=1", "and does");
    go(two);
    go(one);
    is_str(news(now + 6 * SEC), "", "none of both");
    is_str(news(now + 8 * SEC), "a/u/2=0 a/u/1=0", "which is told");
    is_str(news(now + 12 * SEC), "a/u/2=-1 a/u/1=-1", "and gone");
    is_int((int)rs_roll_size(roll), 0, "nothing is kept of who has gone");
    go(other);
}

static void what_redis_has(void)
{
    apr_time_t now = rs_clock_now();
    int one = come("a", "u", 1), many[1000], i;
    rs_present_t *present;
    int count;

    news(now);
    rs_roll_unknown(roll);
    rs_roll_known(roll, "a", "u", 1, 1, now);
    is_str(news(now), "", "what Redis has is not told again");
    rs_roll_unknown(roll);
    rs_roll_known(roll, "a", "dead", 1, 3, now);
    is_str(news(now), "a/u/1=1", "what it lost is");
    is_str(news(now + 2 * SEC), "a/dead/1=0", "and what it has too much");
    is_str(news(now + 6 * SEC), "a/dead/1=-1", "who does not come has gone");
    go(one);
    while (!rs_roll_call(roll, now)) {
    }
    present = rs_roll_next(roll, NULL, now + 2 * SEC, &count);
    ok(present && count == 0, "refused: it is told");
    present->not_before = now + 5 * SEC;
    is_str(news(now + 4 * SEC), "", "but not at once");
    is_str(news(now + 6 * SEC), "a/u/1=-1", "later");
    for (i = 0; i < 1000; i++) {
        char name[16];

        apr_snprintf(name, sizeof(name), "%d", i % 500);
        many[i] = come("many", name, 1);
    }
    while (!rs_roll_call(roll, now)) {
    }
    is_int((int)rs_roll_size(roll), 500, "many");
    for (i = 0; i < 1000; i++) {
        go(many[i]);
    }
    while (!rs_roll_call(roll, now)) {
    }
    ok(!rs_roll_next(roll, NULL, now, &count), "who went before anything was told is not told of");
    is_int((int)rs_roll_size(roll), 0, "nor kept");
}

static void two_come(void)
{
    come("k", "u", 1);
    come("k", "v", 1);
}

static void killed(void)
{
    apr_time_t now = rs_clock_now();
    pid_t one = child(two_come), two = child(two_come);
    int mine = come("k", "u", 1);

    is_str(news(now), "k/u/1=3 k/v/1=2", "of all children");
    end_of(one);
    is_str(news(now), "k/u/1=2 k/v/1=1", "one was killed");
    one = child(two_come);
    is_str(news(now), "k/u/1=3 k/v/1=2", "and another one has its place");
    end_of(one);
    end_of(two);
    is_str(news(now), "k/u/1=1", "both");
    is_str(news(now + 2 * SEC), "k/v/1=0", "and who has nothing left");
    go(mine);
}

/* --- who calls it --- */

static void lead_one(void)
{
    apr_uint32_t term;

    rs_registry_lead(registry, 1, &term);
}

static void lead_two(void)
{
    apr_uint32_t term;

    rs_registry_lead(registry, 2, &term);
}

static void leads(void)
{
    apr_uint32_t term = 0, before;
    pid_t other;

    ok(rs_registry_lead(registry, 1, &term) && term == 1, "the first one does");
    ok(rs_registry_lead(registry, 1, &before) && before == 1, "and goes on");
    end_of(child(lead_one));
    ok(rs_registry_lead(registry, 1, &term) && term == 1, "another one does not take it");
    other = child(lead_two);
    ok(!rs_registry_lead(registry, 1, &term), "one of a newer generation does");
    rs_registry_resign(registry);
    ok(!rs_registry_lead(registry, 1, &term), "whose it is nobody else can give away");
    end_of(other);
    ok(rs_registry_lead(registry, 1, &term) && term == 3, "who is dead does not, terms go up");
    rs_registry_resign(registry);
    other = child(lead_one);
    ok(!rs_registry_lead(registry, 1, &term), "who has given it away has it no more");
    __atomic_store_n(&registry->lead->seen, rs_clock_now() - 6 * SEC, __ATOMIC_RELEASE);
    ok(rs_registry_lead(registry, 1, &term) && term == 5, "who says nothing for long loses it");
    end_of(other);
}

/* --- the census --- */

static rs_census_t census;

static const char *told(const char *tenant)
{
    static char text[200];
    rs_buf_t b = RS_BUF_INIT;
    unsigned n = rs_census_tell(&census, registry, REALM, tenant, &b);

    apr_snprintf(text, sizeof(text), "%.*s %u", (int)(b.len < 60 ? b.len : 60), b.data, n);
    rs_buf_free(&b);
    return text;
}

static void three_sockets(void)
{
    come_by("w", "a", 0, RS_VIA_WEBSOCKET);
    come_by("w", "b", 0, RS_VIA_WEBSOCKET);
    come_by("w", "", 0, RS_VIA_WEBSOCKET);
}

/* Until what was kept is too old, which is soon. */
static const char *told_at_last(const char *tenant, const char *wanted)
{
    int i;

    for (i = 0; i < 1000 && strcmp(told(tenant), wanted) != 0; i++) {
        apr_sleep(apr_time_from_msec(5));
    }
    return told(tenant);
}

static void counts(void)
{
    int seats[300], i, sse = come_by("w", "a", 0, RS_VIA_SSE);
    pid_t one;

    rs_census_open(&census);
    is_str(told("w"), "{} 0", "nobody");
    one = child(three_sockets);
    is_str(told_at_last("w", "{\"a\":1,\"b\":1} 3"), "{\"a\":1,\"b\":1} 3",
           "of another child, WebSockets alone");
    seats[0] = come_by("w", "a", 0, RS_VIA_WEBSOCKET);
    seats[1] = come_by("x", "a", 0, RS_VIA_WEBSOCKET);
    is_str(told_at_last("w", "{\"a\":2,\"b\":1} 4"), "{\"a\":2,\"b\":1} 4", "of all of them");
    is_str(told("x"), "{\"a\":1} 1", "another tenant");
    end_of(one);
    is_str(told_at_last("w", "{\"a\":1} 1"), "{\"a\":1} 1", "one was killed");
    go(seats[0]);
    go(seats[1]);
    is_str(told_at_last("w", "{} 0"), "{} 0", "all have gone");
    for (i = 0; i < 300; i++) {
        char name[16];

        apr_snprintf(name, sizeof(name), "%d", i);
        seats[i] = come_by("m", name, 0, RS_VIA_WEBSOCKET);
    }
    ok(strstr(told("m"), " 300") != NULL, "many");
    for (i = 0; i < 300; i++) {
        go(seats[i]);
    }
    go(sse);
    rs_census_close(&census);
}

/* A gateway's connections are there when their back end has let them in. */
static void waits(void)
{
    rs_arrival_t who = {.realm = REALM, .tenant = "t", .user = "w", .profile = "p", .room = 1,
                        .waits = 1, .via = RS_VIA_GATEWAY};
    apr_time_t now = rs_clock_now() + 20 * SEC;
    int seat, never, nobody;

    news(now - 10 * SEC); /* of what was before */
    news(now);
    rs_registry_enter(registry, &who, &seat);
    rs_registry_enter(registry, &who, &never);
    who.tenant = "";
    rs_registry_enter(registry, &who, &nobody);
    rs_registry_let_in(registry, nobody);
    is_str(news(now), "", "who waits is not there, nor who is of no tenant");
    rs_registry_let_in(registry, seat);
    rs_registry_let_in(registry, RS_NO_SEAT);
    is_str(news(now), "t/w/1=1", "who is let in is");
    is_str(news(now), "", "once");
    rs_registry_note(registry, seat, 7, "1-1");
    go(never);
    is_str(news(now), "", "who was never let in has not left");
    go(seat);
    go(nobody);
    news(now);
    is_str(news(now + 6 * SEC), "t/w/1=-1", "who was has");
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    if (rs_registry_open(&registry, p, 4, 2000) != APR_SUCCESS) {
        abort();
    }
    rs_registry_claim(registry);
    roll = rs_roll_create(registry, REALM);
    comes_and_goes();
    what_redis_has();
    killed();
    leads();
    counts();
    waits();
    rs_roll_free(roll);
    rs_registry_close(registry);
    apr_terminate();
    return done_testing();
}
