/* SPDX-License-Identifier: Apache-2.0
 *
 * What children that are gone have left is taken over. Of this node the system knows who is gone;
 * of others there is only that they have said nothing for a while, which may be Redis's doing: who
 * was found missing is looked at again before it is taken for dead. The ledger's thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_ledger_int.h"

/* Those of other nodes had so long to say that they live since Redis was there. */
#define SETTLED apr_time_from_sec(2 * RS_STORE_LEASE)

/* Who lives says so several times meanwhile. */
#define MISSING_FOR apr_time_from_sec(5)
#define AGAIN apr_time_from_sec(60)

/* Who was not missing for so long may be missing anew. */
#define FORGOTTEN apr_time_from_sec(120)

typedef struct {
    rs_ledger_t *l;
    const char *known;
    int up;
} look_t;

/* Its name is the child's up to the process. */
static int is_dead_here(const char *me, const char *child)
{
    size_t node = strcspn(me, "-");
    long pid = strncmp(me, child, node + 1) == 0 ? atol(child + node + 1) : 0;

    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static rs_missing_t *find(rs_ledger_t *l, const char *child)
{
    int i;

    for (i = 0; i < RS_MISSING_MAX; i++) {
        if (l->missing[i].seen && !strcmp(l->missing[i].child, child)) {
            return &l->missing[i];
        }
    }
    return NULL;
}

/* NULL: so many are missing that this one waits until others have been taken over. */
static rs_missing_t *add(rs_ledger_t *l, const char *child, apr_time_t now)
{
    int i;

    for (i = 0; i < RS_MISSING_MAX; i++) {
        if (l->missing[i].seen + FORGOTTEN < now) {
            apr_cpystrn(l->missing[i].child, child, sizeof(l->missing[i].child));
            l->missing[i].dead_at = now + MISSING_FOR;
            return &l->missing[i];
        }
    }
    return NULL;
}

static void found_alive(rs_ledger_t *l, const char *child)
{
    rs_missing_t *m = find(l, child);

    if (m) {
        m->seen = 0;
    }
}

static void take(look_t *look, const char *child, int dead)
{
    rs_ledger_t *l = look->l;
    int n;

    do {
        n = rs_lease_keep(l)
                ? rs_store_take(l->conn, l->child, child, dead, look->known, rs_owed_take, l)
                : -1;
    } while (n > 0);
    look->up = n == 0;
}

/* Another node's, which says nothing. What is left of it then is of back ends that are not known
 * here, and mostly stays so. */
static void take_if_dead(look_t *look, const char *child)
{
    apr_time_t now = rs_clock_now();
    rs_missing_t *m = find(look->l, child);

    m = m ? m : add(look->l, child, now);
    if (!m) {
        return;
    }
    m->seen = now;
    if (now >= m->dead_at) {
        take(look, child, 0);
        m->dead_at = now + AGAIN;
    }
}

static void look_at(void *baton, const char *child, int lives)
{
    look_t *look = baton;
    rs_ledger_t *l = look->l;
    int dead = is_dead_here(l->child, child);

    if (!look->up || !strcmp(child, l->child)) {
        return;
    }
    if (dead) {
        take(look, child, 1);
    }
    else if (lives) {
        found_alive(l, child);
    }
    else if (rs_clock_now() >= l->up_since + SETTLED) {
        take_if_dead(look, child);
    }
}

/* Redis does not do it. It is there: else that is said elsewhere. */
static void tell_blind(rs_ledger_t *l, int blind)
{
    if (blind && !l->told_blind) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(1136) "%s: what killed processes have left cannot be looked for: Redis "
                             "refuses it (is a right of its user missing?)",
               l->conf.url->label);
    }
    l->told_blind = blind;
}

/* If memory is short, later. */
void rs_take_over(rs_ledger_t *l)
{
    rs_buf_t known = RS_BUF_INIT;
    look_t look = {l, NULL, 1};

    rs_backends_records(&known, &l->common->backends);
    rs_buf_add(&known, "", 1);
    look.known = known.data;
    if (rs_buf_ok(&known)) {
        int done = rs_store_look(l->conn, look_at, &look);

        if (rs_redis_conn_usable(l->conn)) {
            tell_blind(l, !done);
        }
    }
    rs_buf_free(&known);
}
