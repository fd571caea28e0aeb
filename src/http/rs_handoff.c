/* SPDX-License-Identifier: Apache-2.0
 *
 * How a connection leaves httpd 2.4, on the event, worker and prefork MPMs:
 *
 *   1. The response has no length and the connection is not kept alive, so nothing is framed: what
 *      follows the headers is the stream. The headers went out through all of httpd's filters.
 *   2. The descriptor is duplicated. The TCP session lives as long as one of the two is open.
 *   3. The handler returns. In the log_transaction hook, when httpd writes its access line, the
 *      connection is marked aborted: httpd then closes its descriptor without a shutdown().
 *   4. When httpd destroys the connection's pool, nothing of it can write any more: a cleanup of
 *      that pool gives the client to the engine. With TLS that is rs_handoff_tls.c's.
 *
 * The worker, and for 4. whichever thread of httpd destroys the pool.
 */
#include "../conf/rs_httpd.h"

#include <apr_portable.h>
#include <fcntl.h>
#include <http_ssl.h>
#include <unistd.h>

#include "rs_child.h"
#include "rs_handoff.h"
#include "rs_handoff_tls.h"
#include "rs_request.h"
#include "rs_websocket.h"

/* Filters that are still there when the headers are out and let the bytes of a stream through as
 * they are. Any other one may buffer, change or count, so it keeps its worker. Those of the input
 * do not matter: what a client sends on a stream means nothing. */
static const char *const harmless[] = {
    "core",
    "http_outerror",
    "content_length",
    "old_write",
    "logio_ttfb_out",
    "reqtimeout",
    /* Of mod_ssl: these stay behind, and the session comes along. */
    "ssl/tls filter",
    "ssl/tls coalescing filter",
    /* Only if the headers are out: a response that it is to see is held back, with them. */
    "modsecurity_out",
};

/* Among the first n of them. */
static int is_harmless(const ap_filter_t *f, apr_size_t n)
{
    while (n && ap_cstr_casecmp(f->frec->name, harmless[n - 1])) {
        n--;
    }
    return n > 0;
}

static const char *foreign_filter(const ap_filter_t *first)
{
    apr_size_t n = RS_ARRAY_LEN(harmless);
    const ap_filter_t *f;

    for (f = first; f; f = f->next) {
        if (!ap_cstr_casecmp(f->frec->name, "http_header")) {
            n = RS_ARRAY_LEN(harmless) - 1;
        }
    }
    for (f = first; f && is_harmless(f, n); f = f->next) {
    }
    return f ? f->frec->name : NULL;
}

const char *rs_handoff_never(request_rec *r)
{
    conn_rec *c = r->connection;

    if (rs_request_conf(r)->handoff == RS_HANDOFF_OFF) {
        return "RaglineHandoff off";
    }
    if (c->master) {
        return "http2";
    }
    if (!ap_get_conn_socket(c)) {
        return "no socket";
    }
    return ap_ssl_conn_is_ssl(c) ? rs_handoff_tls_obstacle(c) : NULL;
}

const char *rs_handoff_obstacle(request_rec *r)
{
    const char *never = rs_handoff_never(r), *filter;

    if (never) {
        return never;
    }
    filter = foreign_filter(r->output_filters);
    if (filter) {
        return apr_pstrcat(r->pool, "filter ", ap_escape_logitem(r->pool, filter), NULL);
    }
    return ap_ssl_conn_is_ssl(r->connection) ? rs_handoff_tls_settle(r) : NULL;
}

/* What is left to do when httpd is done with the connection. */
typedef struct {
    rs_engine_t *engine;
    rs_client_t *client;
} handoff_t;

static apr_status_t submit(void *data)
{
    handoff_t *handoff = data;

    rs_engine_submit(handoff->engine, handoff->client);
    return APR_SUCCESS;
}

static void submit_later(conn_rec *c, rs_client_t *client)
{
    handoff_t *handoff = apr_pcalloc(c->pool, sizeof(*handoff));

    handoff->engine = rs_child_engine();
    handoff->client = client;
    apr_pool_cleanup_register(c->pool, handoff, submit, apr_pool_cleanup_null);
}

/* A connection beside httpd's. */
static int open_conn(conn_rec *c, rs_conn_t *conn)
{
    apr_os_sock_t fd;

    if (apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS
        || (conn->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        return 0;
    }
    if (ap_ssl_conn_is_ssl(c) && !rs_handoff_tls_open(c, conn)) {
        close(conn->fd);
        return 0;
    }
    return 1;
}

/* Over TLS it has been read by now. 0: it is too much. */
static int hear_early(request_rec *r, rs_client_params_t *params)
{
    int good = ap_ssl_conn_is_ssl(r->connection) || rs_websocket_early(r);

    params->early = rs_request(r)->early;
    params->early_len = rs_request(r)->early_len;
    return good;
}

int rs_handoff(request_rec *r, rs_client_params_t *params)
{
    conn_rec *c = r->connection;
    rs_client_t *client;

    if (params->profile->wire->peer && !hear_early(r, params)) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return OK;
    }
    if (!open_conn(c, &params->conn)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, apr_get_os_error(), r,
                      "RS0721: the connection cannot be taken over");
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return OK; /* the headers are out: closing is all that is left */
    }
    client = rs_client_create(params);
    if (!client) {
        params->conn.transport->close(&params->conn);
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return OK;
    }
    rs_transport_socket_setup(params->conn.fd, rs_child_send_buffer());
    rs_request(r)->handed_over = 1;
    (ap_ssl_conn_is_ssl(c) ? rs_handoff_tls_take : submit_later)(c, client);
    return OK;
}

static int log_transaction(request_rec *r)
{
    const rs_request_t *req = ap_get_module_config(r->request_config, &ragline_stream_module);

    if (req && req->handed_over) {
        r->connection->aborted = 1;
    }
    return DECLINED;
}

void rs_handoff_hooks(apr_pool_t *p)
{
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_REALLY_LAST);
    rs_handoff_tls_hooks(p);
}
