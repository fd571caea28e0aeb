/* SPDX-License-Identifier: Apache-2.0
 *
 * What the system and the MPM are set to, where streams need something else. What is only a
 * mistake of our own directives is said by check_config. The parent, as root where it is started
 * so, before there are children.
 */
#include "../conf/rs_httpd.h"
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conf/rs_conf_pumps.h"
#include "rs_limits.h"

/* Beside its streams: listeners, logs, Redis, callbacks; */
#define OTHER_DESCRIPTORS 200
/* for each of its threads, beside httpd's connections: a file or a back end, and what a stream that
 * keeps its worker has more than another one; */
#define THREAD_DESCRIPTORS 4
/* and never fewer than that. */
#define LEAST_DESCRIPTORS 500

/* --- file descriptors --- */

static rlim_t other_descriptors(apr_pool_t *p)
{
    int threads = 0;
    rlim_t n;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    n = (rlim_t)(rs_conf_connections(p) + THREAD_DESCRIPTORS) * (rlim_t)(threads > 0 ? threads : 0);
    n += OTHER_DESCRIPTORS;
    return n > LEAST_DESCRIPTORS ? n : LEAST_DESCRIPTORS;
}

/* What is left of so many. A quarter at least: not all threads have all of theirs at once. */
static int possible_streams(int wanted, rlim_t allowed, rlim_t others)
{
    rlim_t left = allowed > others ? allowed - others : 0;

    left = left > allowed / 4 ? left : allowed / 4;
    return left < (rlim_t)wanted ? (int)left : wanted;
}

static void raise_to(rlim_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0
        || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur >= wanted)) {
        return;
    }
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted) {
        limit.rlim_cur = wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    else {
        struct rlimit raised = {wanted, wanted};

        if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
            limit.rlim_cur = limit.rlim_max;
            (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
}

/* A table that is full must refuse a stream, never make accept() fail. */
void rs_limits_raise(apr_pool_t *p, server_rec *s, rs_server_conf_t *conf)
{
    rlim_t others = other_descriptors(p), wanted = (rlim_t)conf->max_connections + others;
    struct rlimit limit;
    int possible;

    raise_to(wanted);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    possible = possible_streams(conf->max_connections, limit.rlim_cur, others);
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "RS0803: RaglineMaxConnections %d needs %lu file descriptors in each child "
                 "and only %lu are allowed; %d streams it is. Write "
                 "APACHE_ULIMIT_MAX_FILES=\"ulimit -n %lu\" into envvars (of Debian) and have the "
                 "systemd unit (LimitNOFILE) or the container allow as many, then stop httpd and "
                 "start it; or lower RaglineMaxConnections",
                 conf->max_connections, (unsigned long)wanted, (unsigned long)limit.rlim_cur,
                 possible, (unsigned long)wanted);
    conf->max_connections = possible;
}

/* --- sockets --- */

/* Linux doubles what it is asked for, up to a limit, and tells that. */
#ifdef __linux__
#define TOLD_TWICE 2
#else
#define TOLD_TWICE 1
#endif

static void warn_about_send_buffer(server_rec *s)
{
    int wanted = (int)rs_conf_server(s)->send_buffer, got = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = sizeof(got);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)) == 0
        && getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &len) == 0 && got / TOLD_TWICE < wanted) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "RS0814: RaglineSendBuffer: this system gives a socket %d bytes, and no %d: "
                     "raise its limit (sysctl net.core.wmem_max=%d), or write less",
                     got / TOLD_TWICE, wanted, wanted);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* --- the MPM --- */

/* httpd does not see handed-over streams: to it, a child full of them is idle. */
static void warn_about_ends(server_rec *s)
{
    int max_daemons = 0, max_spare = 0, threads = 0, connections = 0;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &max_daemons);
    ap_mpm_query(AP_MPMQ_MAX_SPARE_THREADS, &max_spare);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    ap_mpm_query(AP_MPMQ_MAX_REQUESTS_DAEMON, &connections);
    if (max_daemons > 1 && max_spare > 0 && max_spare < max_daemons * threads) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "RS0805: MaxSpareThreads %d lets httpd end children whose workers are idle, "
                     "though they hold "
                     "streams (which come back by themselves): set MaxSpareThreads to "
                     "MaxRequestWorkers (%d)",
                     max_spare, max_daemons * threads);
    }
    if (connections > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "RS0810: MaxConnectionsPerChild %d: httpd ends a child that has had so many "
                     "connections, and all its streams with it (which come back by themselves, and "
                     "count again): set MaxConnectionsPerChild to 0",
                     connections);
    }
}

/* A child is added when few workers are idle; those that streams leave alone are always idle. */
static void warn_about_spare(apr_pool_t *p, server_rec *s)
{
    rs_pump_limits_t limits = rs_conf_pumps(p, rs_conf_server(s));
    int wanted = rs_conf_pumps_spare(&limits), spare = 0;

    ap_mpm_query(AP_MPMQ_MIN_SPARE_THREADS, &spare);
    if (limits.threads > 1 && spare < wanted) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "RS0808: MinSpareThreads %d: httpd may not start as many children as %d "
                     "streams that keep a worker need (HTTP/2, filters): set MinSpareThreads to %d",
                     spare, limits.all, wanted);
    }
}

/* A child that ends has its place in httpd's scoreboard until its last client is gone, which one
 * that does not read delays, and a new one needs another place. */
static void warn_about_places(apr_pool_t *p, server_rec *s)
{
    int places = 0, start = rs_conf_start_servers(p);

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &places);
    if (places < 2 * start) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "RS0813: ServerLimit %d: after a graceful restart %s until those of before "
                     "have sent their streams away, which may take RaglineDrain: set ServerLimit "
                     "to %d, twice StartServers",
                     places,
                     places > start ? apr_psprintf(p, "only %d of %d children find a place",
                                                   places - start, start)
                                    : "no new child finds a place, and nobody is served,",
                     2 * start);
    }
}

void rs_limits_warn(apr_pool_t *p, server_rec *s)
{
    int threaded = 0;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    if (threaded == AP_MPMQ_NOT_SUPPORTED) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "RS0804: the prefork MPM ends children as it likes, and their streams with "
                     "them (they come "
                     "back by themselves): use mpm_event for streams");
    }
    else {
        warn_about_ends(s);
        warn_about_places(p, s);
    }
    warn_about_spare(p, s);
    warn_about_send_buffer(s);
}
