/* SPDX-License-Identifier: Apache-2.0
 *
 * The board of counters. Parent and children; atomics only.
 */
#include <string.h>
#include <unistd.h>

#include <apr_shm.h>
#include <apr_strings.h>

#include "../base/rs_log.h"
#include "rs_board.h"

/* The board outlives a restart, and with it the module's file may have changed: another layout is
 * another board. */
#define LAYOUT 7

const char *const rs_refusal_names[RS_REFUSED_MAX] = {
    "max_connections",  "tenant_limit",      "user_limit",  "max_pumps", "full_child",
    "http2_connection", "redis_unavailable", "unavailable", "draining",
};

const char *const rs_called_names[RS_CALLED_MAX] = {
    "answered", "late", "unreachable", "full", "stopped",
};

/* Redis servers of which it is kept what was logged of them once. */
#define TOLD 64

typedef struct {
    pid_t pid; /* atomic: 0 when the place is free */
    rs_stats_t stats;
} place_t;

typedef struct {
    apr_uint32_t *told; /* atomics, TOLD of them */
    place_t *places;
    int n;
} board_t;

static board_t *board;

apr_status_t rs_board_open(apr_pool_t *p, int children)
{
    const char *key = apr_psprintf(p, "ragline_board/%d/%" APR_SIZE_T_FMT, LAYOUT, sizeof(place_t));
    void *kept = NULL;
    apr_shm_t *shm;
    apr_status_t rv;

    apr_pool_userdata_get(&kept, key, p);
    if (kept) {
        board = kept;
        memset(board->told, 0, TOLD * sizeof(*board->told));
        return APR_SUCCESS;
    }
    board = apr_pcalloc(p, sizeof(*board));
    /* Twice: during a restart old and new children live side by side. */
    board->n = children > 0 ? children * 2 : 2;
    rv = apr_shm_create(&shm, (apr_size_t)board->n * sizeof(place_t) + TOLD * sizeof(*board->told),
                        NULL, p);
    if (rv != APR_SUCCESS) {
        rs_log(RS_LOG_EMERG, rv, RSLOGNO(0901) "no shared memory for %d children", board->n);
        return rv;
    }
    board->places = apr_shm_baseaddr_get(shm);
    board->told = (apr_uint32_t *)(board->places + board->n);
    memset(board->places, 0, (apr_size_t)board->n * sizeof(place_t));
    memset(board->told, 0, TOLD * sizeof(*board->told));
    return apr_pool_userdata_set(board, key, apr_pool_cleanup_null, p);
}

rs_stats_t *rs_board_claim(void)
{
    static rs_stats_t nowhere;
    int i;

    for (i = 0; board && i < board->n; i++) {
        pid_t free_place = 0;

        if (__atomic_compare_exchange_n(&board->places[i].pid, &free_place, getpid(), 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            memset(&board->places[i].stats, 0, sizeof(rs_stats_t));
            return &board->places[i].stats;
        }
    }
    return &nowhere;
}

apr_uint32_t *rs_board_told(int nth) { return board && nth < TOLD ? &board->told[nth] : NULL; }

void rs_board_gone(pid_t pid)
{
    int i;

    for (i = 0; board && i < board->n; i++) {
        if (__atomic_load_n(&board->places[i].pid, __ATOMIC_ACQUIRE) == pid) {
            __atomic_store_n(&board->places[i].pid, 0, __ATOMIC_RELEASE);
        }
    }
}

const rs_stats_t *rs_board_next(int *place, pid_t *pid)
{
    while (board && *place < board->n) {
        place_t *here = &board->places[(*place)++];

        *pid = __atomic_load_n(&here->pid, __ATOMIC_ACQUIRE);
        if (*pid) {
            return &here->stats;
        }
    }
    return NULL;
}
