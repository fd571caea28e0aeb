/* SPDX-License-Identifier: Apache-2.0
 *
 * Refusals.
 */
#include "../conf/rs_httpd.h"

#include <pthread.h>

#include "../base/rs_buf.h"
#include "../base/rs_clock.h"
#include "../conf/rs_conf.h"
#include "../obs/rs_board.h"
#include "rs_error.h"
#include "rs_pumps.h"
#include "rs_refusal.h"
#include "rs_request.h"
#include "rs_stream_headers.h"
#include "rs_websocket.h"

/* Where another child has room, which is likely the one that answers next time. */
#define RETRY_CHILD apr_time_from_msec(300)

/* Who is refused comes back after seconds: without anybody for so long it is over. */
#define OVER apr_time_from_sec(10)

static const struct {
    const char *code, *error; /* for the client */
    const char *remedy;       /* for the log; NULL: what is wrong has its own lines there */
} refusals[RS_REFUSED_MAX] = {
    [RS_REFUSED_CONNECTIONS] = {"over_limit", "too many streams are open",
                                "raise RaglineMaxConnections, and the file descriptors with it"},
    [RS_REFUSED_TENANT] = {"over_limit", "this tenant has too many streams open",
                           "RaglineLimit tenant=: raise it if a tenant needs more"},
    [RS_REFUSED_USER] = {"over_limit", "this user has too many streams open",
                         "RaglineLimit user=: raise it if a user needs more"},
    [RS_REFUSED_PUMPS] =
        {"over_limit", "too many streams are open",
         "see what keeps them in their workers (docs/TROUBLESHOOTING.md), or raise "
         "MaxRequestWorkers and RaglineMaxPumps"},
    [RS_REFUSED_CHILD] = {"over_limit", "too many streams are open here", NULL},
    [RS_REFUSED_HTTP2] = {"over_limit", "this connection has a stream already",
                          "an HTTP/2 connection carries one stream: share it among tabs, or give "
                          "streams a host name with \"Protocols http/1.1\""},
    [RS_REFUSED_REDIS] = {"redis_unavailable", "events cannot be read at the moment", NULL},
    [RS_REFUSED_UNAVAILABLE] = {"unavailable", "streams are not available here at the moment",
                                NULL},
    [RS_REFUSED_DRAINING] = {"draining", "the server is restarting", NULL},
};

static struct {
    pthread_mutex_t lock;
    rs_stats_t *stats;
    int max_connections;
    struct {
        apr_time_t last; /* 0: nobody is being refused */
        apr_uint64_t before;
    } state[RS_REFUSED_MAX];
} refused = {PTHREAD_MUTEX_INITIALIZER, NULL, 0, {{0, 0}}};

void rs_refusal_open(rs_stats_t *stats, int max_connections)
{
    refused.stats = stats;
    refused.max_connections = max_connections;
}

/* A child without sources has no engine (yet). */
rs_refusal_t rs_refusal_of_full_child(void)
{
    const rs_stats_t *stats;
    int place = 0;
    pid_t pid;

    while ((stats = rs_board_next(&place, &pid))) {
        if (stats != refused.stats && !RS_STAT_GET(stats->draining) && RS_STAT_GET(stats->nsources)
            && RS_STAT_GET(stats->connections) < (apr_uint64_t)refused.max_connections) {
            return RS_REFUSED_CHILD;
        }
    }
    return RS_REFUSED_CONNECTIONS;
}

static void note(request_rec *r, rs_refusal_t why)
{
    apr_uint64_t before = RS_STAT_ADD(refused.stats->refused[why], 1);
    int begins;

    pthread_mutex_lock(&refused.lock);
    begins = !refused.state[why].last;
    refused.state[why].last = rs_clock_now();
    if (begins) {
        refused.state[why].before = before;
    }
    pthread_mutex_unlock(&refused.lock);
    if (begins && refusals[why].remedy) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "RS0741: streams are refused for now, %s: %s%s%s", rs_refusal_names[why],
                      why == RS_REFUSED_PUMPS ? rs_pumps_text(r->pool) : "",
                      why == RS_REFUSED_PUMPS ? "; " : "", refusals[why].remedy);
    }
}

int rs_refuse_honestly(request_rec *r, const char *code, const char *message)
{
    /* Whole seconds, at least one. */
    apr_time_t retry = rs_request_conf(r)->retry + apr_time_from_sec(1) - 1;

    apr_table_setn(r->err_headers_out, "Retry-After", apr_ltoa(r->pool, (long)apr_time_sec(retry)));
    return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, code, message);
}

int rs_refuse(request_rec *r, rs_refusal_t why)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    const rs_wire_t *wire = rs_stream_wire(r);
    rs_buf_t b = RS_BUF_INIT;

    note(r, why);
    if (wire->one_batch) {
        return rs_refuse_honestly(r, refusals[why].code, refusals[why].error);
    }
    rs_stream_headers(r);
    wire->error(&b, conf->profile, refusals[why].code, "Stream failed", refusals[why].error,
                why == RS_REFUSED_CHILD && conf->retry > RETRY_CHILD ? RETRY_CHILD : conf->retry);
    if (rs_buf_ok(&b)) {
        ap_rwrite(b.data, (int)b.len, r);
        if (wire->peer) {
            rs_websocket_part(r);
        }
    }
    rs_buf_free(&b);
    return OK;
}

static apr_uint64_t end_of(rs_refusal_t why, apr_time_t now)
{
    apr_uint64_t n = 0;

    pthread_mutex_lock(&refused.lock);
    if (refused.state[why].last && now >= refused.state[why].last + OVER) {
        refused.state[why].last = 0;
        n = RS_STAT_GET(refused.stats->refused[why]) - refused.state[why].before;
    }
    pthread_mutex_unlock(&refused.lock);
    return n;
}

void rs_refusal_look(server_rec *s)
{
    apr_time_t now = rs_clock_now();
    int why;

    for (why = 0; why < RS_REFUSED_MAX; why++) {
        apr_uint64_t n = end_of(why, now);

        if (n && refusals[why].remedy) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "RS0742: streams are not refused any more, %s: %" APR_UINT64_T_FMT " were",
                         rs_refusal_names[why], n);
        }
    }
}
