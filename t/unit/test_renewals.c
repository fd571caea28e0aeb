/* SPDX-License-Identifier: Apache-2.0
 *
 * New tokens on their way from one child to another: what is posted is taken once, by whom it is
 * for, and answered once; nobody waits for ever.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "base/rs_clock.h"
#include "log/rs_renewals.h"
#include "tap.h"

#define SOON apr_time_from_msec(20)
#define LONG apr_time_from_sec(60)

static rs_renewals_t *renewals;

static apr_uint64_t post(pid_t pid, const char *user)
{
    rs_renewal_t renewal = {.id = "x", .tenant = "t", .place = 7, .exp = 5};

    strcpy(renewal.user, user);
    return rs_renewals_post(renewals, pid, &renewal);
}

static void to_itself(void)
{
    apr_uint64_t ticket = post(getpid(), "a"), taken = 0;
    apr_uint32_t seen = 0;
    rs_renewal_t got;

    ok(ticket != 0, "posted");
    ok(rs_renewals_take(renewals, &seen, &got, &taken) && taken == ticket, "taken");
    ok(!strcmp(got.user, "a") && !strcmp(got.tenant, "t") && got.place == 7 && got.exp == 5,
       "as it was posted");
    ok(!rs_renewals_take(renewals, &seen, &got, &taken), "once");
    rs_renewals_answer(renewals, ticket, RS_RENEW_OTHER);
    rs_renewals_answer(renewals, ticket, RS_RENEW_GONE);
    is_int(rs_renewals_wait(renewals, ticket, LONG), RS_RENEW_OTHER, "the first answer counts");
    is_int(rs_renewals_wait(renewals, ticket, LONG), RS_RENEW_LATE, "and is there once");
}

static void too_late(void)
{
    apr_uint64_t ticket = post(getpid(), "a"), other, taken;
    apr_uint32_t seen = 0;
    rs_renewal_t got;

    is_int(rs_renewals_wait(renewals, ticket, SOON), RS_RENEW_LATE, "nobody takes it");
    ok(!rs_renewals_take(renewals, &seen, &got, &taken), "nor can, any more");
    ticket = post(getpid(), "b");
    ok(rs_renewals_take(renewals, &seen, &got, &taken), "one is taken");
    is_int(rs_renewals_wait(renewals, ticket, SOON), RS_RENEW_LATE, "and not answered");
    other = post(getpid(), "c");
    rs_renewals_answer(renewals, ticket, RS_RENEWED);
    is_int(rs_renewals_wait(renewals, other, SOON), RS_RENEW_LATE,
           "a late answer is not that of who has the place now");
}

static void full(void)
{
    apr_uint64_t tickets[1000];
    int i, n = 0;

    while (n < 1000 && (tickets[n] = post(1, "a"))) {
        n++;
    }
    ok(n > 10 && n < 1000, "there are so many places, and no more: %d", n);
    for (i = 0; i < n; i++) {
        rs_renewals_wait(renewals, tickets[i], 0);
    }
    tickets[0] = post(1, "a");
    ok(tickets[0] != 0, "who has waited gives its place back");
    rs_renewals_wait(renewals, tickets[0], 0);
}

/* Another process, which answers what is its own. */
static void serve(void)
{
    apr_uint64_t ticket;
    apr_uint32_t seen = 0;
    rs_renewal_t got;

    for (;;) {
        while (rs_renewals_take(renewals, &seen, &got, &ticket)) {
            rs_renewals_answer(renewals, ticket, *got.user ? RS_RENEWED : RS_RENEW_REVOKED);
        }
        usleep(1000);
    }
}

static void to_another(void)
{
    apr_uint64_t nobody, somebody, taken;
    apr_uint32_t seen = 0;
    rs_renewal_t got;
    pid_t pid;

    fflush(stdout); /* or the child says it again when it ends */
    pid = fork();
    if (pid == 0) {
        serve();
    }
    nobody = post(pid, "");
    somebody = post(pid, "a");
    ok(!rs_renewals_take(renewals, &seen, &got, &taken), "what is another's is not taken");
    is_int(rs_renewals_wait(renewals, nobody, LONG), RS_RENEW_REVOKED, "it answers one");
    is_int(rs_renewals_wait(renewals, somebody, LONG), RS_RENEWED, "and the other");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    is_int(rs_renewals_wait(renewals, post(pid, "a"), SOON), RS_RENEW_LATE, "who died does not");
}

static void how_often(void)
{
    apr_time_t now = rs_clock_now();

    ok(rs_renewals_due(renewals, now) < now + apr_time_from_msec(100), "lately: often");
    ok(rs_renewals_due(renewals, now + apr_time_from_sec(3600))
           == now + apr_time_from_sec(3600 + 1),
       "else once a second");
}

int main(void)
{
    apr_pool_t *pool;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    renewals = rs_renewals_open(pool);
    ok(renewals && rs_renewals_open(pool) == renewals, "a restart finds the same");
    to_itself();
    too_late();
    full();
    to_another();
    how_often();
    return done_testing();
}
