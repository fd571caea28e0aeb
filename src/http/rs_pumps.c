/* SPDX-License-Identifier: Apache-2.0
 *
 * Places for streams that keep a worker. One lock for all of a child's: they come and go rarely.
 */
#include "../conf/rs_httpd.h"

#include <apr_portable.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../obs/rs_board.h"
#include "rs_connection.h"
#include "rs_pumps.h"

static struct {
    pthread_mutex_t lock;
    rs_pump_limits_t limits;
    rs_stats_t *stats;
    rs_ring_t all;
    int http2; /* of these, over HTTP/2 */
} pumps = {PTHREAD_MUTEX_INITIALIZER, {0, 0, 0, 0, 0}, NULL, {NULL, NULL}, 0};

void rs_pumps_open(const rs_pump_limits_t *limits, rs_stats_t *stats)
{
    pumps.limits = *limits;
    pumps.stats = stats;
    rs_ring_init(&pumps.all);
}

const rs_pump_limits_t *rs_pumps_limits(void) { return &pumps.limits; }

/* Those of children that end are on their way out. */
static apr_uint64_t in_all_children(void)
{
    const rs_stats_t *stats;
    apr_uint64_t sum = 0;
    int place = 0;
    pid_t pid;

    while ((stats = rs_board_next(&place, &pid))) {
        sum += RS_STAT_GET(stats->draining) ? 0 : RS_STAT_GET(stats->pumps);
    }
    return sum;
}

/* Another child whose streams over HTTP/2, if all of its are such, leave one a place. */
static int another_has_room(void)
{
    const rs_stats_t *stats;
    int place = 0;
    pid_t pid;

    while ((stats = rs_board_next(&place, &pid))) {
        if (stats != pumps.stats && !RS_STAT_GET(stats->draining) && RS_STAT_GET(stats->nsources)
            && RS_STAT_GET(stats->pumps) < (apr_uint64_t)pumps.limits.http2) {
            return 1;
        }
    }
    return 0;
}

/* First counted, then looked: two children at once may both refuse, but never both let in. */
static rs_refusal_t count_in(int http2)
{
    RS_STAT_ADD(pumps.stats->pumps, 1);
    if (in_all_children() > (apr_uint64_t)pumps.limits.all) {
        return RS_REFUSED_PUMPS;
    }
    if (http2 && pumps.http2 >= pumps.limits.http2) {
        return another_has_room() ? RS_REFUSED_CHILD : RS_REFUSED_PUMPS;
    }
    return RS_STAT_GET(pumps.stats->pumps) > (apr_uint64_t)pumps.limits.child ? RS_REFUSED_CHILD
                                                                              : RS_REFUSED_MAX;
}

static rs_pump_stats_t *cause_stats(const char *cause)
{
    rs_pump_stats_t *here = pumps.stats->pumped;
    apr_uint32_t i, n = pumps.stats->npumped;

    for (i = 0; i < n && strncmp(here[i].cause, cause, RS_STATS_CAUSE - 1); i++) {
    }
    if (i == RS_STATS_CAUSES) {
        return &here[i - 1];
    }
    if (i == n) {
        apr_cpystrn(here[i].cause, i < RS_STATS_CAUSES - 1 ? cause : "others", RS_STATS_CAUSE);
        __atomic_store_n(&pumps.stats->npumped, n + 1, __ATOMIC_RELEASE); /* after the name */
    }
    return &here[i];
}

static int duplicate(const conn_rec *c)
{
    apr_os_sock_t fd;

    if (apr_os_sock_get(&fd, ap_get_conn_socket((conn_rec *)c)) != APR_SUCCESS) {
        return -1;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* mod_http2 may give a connection no more than two workers, for as long as it likes (after requests
 * that the client took back): so one stream is all that leaves something to its pages. A stream
 * that the client has cancelled makes room at once, though its worker has still to notice. */
static int enter_http2(rs_pump_place_t *place, const conn_rec *c)
{
    rs_connection_t *master = rs_connection_of(c->master);

    if (!master || (master->stream && !master->stream->aborted)) {
        return 0;
    }
    master->stream = c;
    place->stream = &master->stream;
    return 1;
}

static rs_refusal_t enter(rs_pump_place_t *place, const conn_rec *c, const char *cause)
{
    const conn_rec *master = c->master;
    rs_refusal_t refused = count_in(master != NULL);

    if (refused == RS_REFUSED_MAX && master && !enter_http2(place, c)) {
        refused = RS_REFUSED_HTTP2;
    }
    if (refused != RS_REFUSED_MAX) {
        RS_STAT_SUB(pumps.stats->pumps, 1);
        return refused;
    }
    pumps.http2 += master != NULL;
    place->fd = duplicate(master ? master : c);
    place->stats = cause_stats(cause);
    RS_STAT_ADD(place->stats->open, 1);
    RS_STAT_ADD(place->stats->total, 1);
    rs_ring_put_last(&pumps.all, &place->all);
    return RS_REFUSED_MAX;
}

rs_refusal_t rs_pumps_enter(rs_pump_place_t *place, request_rec *r, const char *cause)
{
    rs_refusal_t refused;

    memset(place, 0, sizeof(*place));
    pthread_mutex_lock(&pumps.lock);
    refused = enter(place, r->connection, cause);
    pthread_mutex_unlock(&pumps.lock);
    if (refused == RS_REFUSED_MAX) {
        ap_log_rerror(
            APLOG_MARK, RS_STAT_GET(place->stats->total) == 1 ? APLOG_INFO : APLOG_DEBUG, 0, r,
            "RS0732: a stream keeps its worker: %s (further ones of this child are logged "
            "at level debug)",
            cause);
    }
    return refused;
}

void rs_pumps_leave(rs_pump_place_t *place, request_rec *r)
{
    pthread_mutex_lock(&pumps.lock);
    rs_ring_remove(&place->all);
    RS_STAT_SUB(place->stats->open, 1);
    RS_STAT_SUB(pumps.stats->pumps, 1);
    if (place->stream) {
        pumps.http2--;
        if (*place->stream == r->connection) {
            *place->stream = NULL;
        }
    }
    pthread_mutex_unlock(&pumps.lock);
    if (place->fd >= 0) {
        close(place->fd);
    }
}

void rs_pumps_cut(void)
{
    rs_ring_t *link;

    pthread_mutex_lock(&pumps.lock);
    for (link = rs_ring_first(&pumps.all); link; link = rs_ring_next(&pumps.all, link)) {
        (void)shutdown(RS_RING_OF(link, rs_pump_place_t, all)->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&pumps.lock);
}

const char *rs_pumps_text(apr_pool_t *p)
{
    apr_uint32_t i, n = __atomic_load_n(&pumps.stats->npumped, __ATOMIC_ACQUIRE);
    const char *text = "";

    for (i = 0; i < n; i++) {
        const rs_pump_stats_t *here = &pumps.stats->pumped[i];

        if (RS_STAT_GET(here->open)) {
            text = apr_psprintf(p, "%s%s%s %" APR_UINT64_T_FMT, text, *text ? ", " : "",
                                here->cause, RS_STAT_GET(here->open));
        }
    }
    return apr_psprintf(p, "%" APR_UINT64_T_FMT " of %d in all children are open, in this one: %s",
                        in_all_children(), pumps.limits.all, *text ? text : "none");
}

/* Made here, in the connection's own thread: HTTP/2's streams have others. */
static int pre_connection(conn_rec *c, void *csd)
{
    if (!c->master && pumps.stats) {
        rs_connection(c);
    }
    return OK;
}

void rs_pumps_hooks(apr_pool_t *p)
{
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
}
