/* SPDX-License-Identifier: Apache-2.0
 *
 * This child says that it lives, which holds for RS_STORE_LEASE seconds. The ledger's thread, also
 * in the middle of what takes long.
 */
#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_ledger_int.h"

#define LIVE_EVERY apr_time_from_sec(2)

int rs_lease_renew(rs_ledger_t *l)
{
    int lives = rs_store_live(l->conn, l->child, l->conf.keep, l->memory);

    l->live_at = rs_clock_now() + LIVE_EVERY;
    if (lives < 0) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(1132) "%s: this process was taken for dead, and the ends of its gateway "
                             "connections were told: they end",
               l->conf.url->label);
        l->taken = 1;
    }
    l->anew |= lives == 2;
    return lives;
}

int rs_lease_keep(rs_ledger_t *l)
{
    int lives = rs_clock_now() < l->live_at ? 1 : rs_lease_renew(l);

    l->stale |= lives != 1; /* Redis has lost data, say */
    return lives == 1;
}
