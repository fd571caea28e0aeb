/* SPDX-License-Identifier: Apache-2.0
 *
 * RaglineMaxPumps and the MPM. httpd starts another child when fewer than MinSpareThreads workers
 * are idle, so streams may fill a child nearly, and only the sum over all children is held down: a
 * low limit for each child would be reached with so many idle workers that no child is ever added.
 * Nearly, because connections that are kept alive belong to a child: their next request waits for a
 * worker of just that one.
 */
#include "rs_httpd.h"

#include "rs_conf_check.h"
#include "rs_conf_pumps.h"
#include "rs_conf_tree.h"

/* What is left to everything else of so many workers. */
static int reserve(int workers) { return workers >= 16 ? workers / 8 : workers > 1 ? 1 : 0; }

static int number_of(apr_pool_t *p, const char *directive)
{
    const ap_directive_t *at = rs_tree_last(ap_conftree, directive);

    return at ? atoi(rs_tree_word(p, at)) : 0;
}

/* mod_http2's default for H2MaxWorkers is made of H2MinWorkers. Three fifths, not all but a few:
 * when a request comes while all of its workers are busy, mod_http2 loses count, and a later one
 * may lie there, with idle workers, until another connection has a request. */
static int http2_streams(apr_pool_t *p, const rs_pump_limits_t *limits)
{
    int min = number_of(p, "H2MinWorkers"), workers = number_of(p, "H2MaxWorkers"), streams;

    if (workers <= 0) {
        workers = 3 * (min > 0 ? min : limits->threads) / 2;
        workers = workers > 4 ? workers : 4;
    }
    streams = workers / 5 * 3 + workers % 5 * 3 / 5;
    streams = streams < limits->child ? streams : limits->child;
    return streams > 0 ? streams : 1;
}

rs_pump_limits_t rs_conf_pumps(apr_pool_t *p, const rs_server_conf_t *conf)
{
    rs_pump_limits_t limits = {0, 0, 0, 1, 1};

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &limits.threads);
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &limits.children);
    limits.threads = limits.threads > 0 ? limits.threads : 1; /* prefork says 0 */
    limits.child = limits.threads - reserve(limits.threads);
    limits.http2 = http2_streams(p, &limits);
    limits.all = conf->max_pumps ? conf->max_pumps : limits.threads * limits.children / 2;
    if (limits.all > limits.child * limits.children) {
        limits.all = limits.child * limits.children;
    }
    limits.all = limits.all > 0 ? limits.all : 1;
    return limits;
}

/* httpd's own default where it is not said. */
int rs_conf_start_servers(apr_pool_t *p)
{
    int start = number_of(p, "StartServers"), children = 0;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    start = start > 0 ? start : 3;
    return start < children ? start : children;
}

/* Beside those that are being served httpd has others that wait: AsyncRequestWorkerFactor times as
 * many as there are idle workers. */
int rs_conf_connections(apr_pool_t *p)
{
    const ap_directive_t *at = rs_tree_last(ap_conftree, "AsyncRequestWorkerFactor");
    double factor = at ? strtod(rs_tree_word(p, at), NULL) : 2;

    factor = factor > 0 && factor < 10000 ? factor : 2;
    return 1 + (int)factor + (factor > (int)factor);
}

int rs_conf_pumps_spare(const rs_pump_limits_t *limits)
{
    int full = (limits->all + limits->child - 1) / limits->child - 1;

    return full < limits->children ? full * reserve(limits->threads) + 1 : 0;
}

void rs_check_pumps(apr_pool_t *p, server_rec *main_server)
{
    const rs_server_conf_t *conf = rs_conf_server(main_server);
    rs_pump_limits_t limits = rs_conf_pumps(p, conf);

    if (conf->max_pumps > limits.all) {
        rs_check_warn(main_server, NULL,
                      apr_psprintf(p,
                                   "RaglineMaxPumps %d is more than there can be: a child keeps "
                                   "%d of its %d threads for everything else, so it is %d in all: "
                                   "write less, or raise MaxRequestWorkers",
                                   conf->max_pumps, limits.threads - limits.child, limits.threads,
                                   limits.all));
    }
}
