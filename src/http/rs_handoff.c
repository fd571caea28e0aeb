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
 *      that pool gives the client to the engine.
 *
 * The worker, and for 4. whichever thread of httpd destroys the pool.
 */
#include "../conf/rs_httpd.h"

#include <apr_portable.h>
#include <fcntl.h>
#include <unistd.h>

#include "rs_child.h"
#include "rs_handoff.h"
#include "rs_request.h"

/* Filters that let the bytes of a stream through as they are, or have done their work when the
 * headers are out. Any other one may buffer, change or count, so it keeps its worker. */
static const char *const harmless[] = {
    "core",
    "core_in",
    "http_in",
    "http_header",
    "http_outerror",
    "byterange",
    "content_length",
    "fixup_headers_out",
    "fixup_headers_err",
    "old_write",
    "log_input_output",
    "logio",
    "reqtimeout",
    "deflate",
    "brotli_compress",
    "mod_expires",
    "ragline_error",
    "ragline_cors",
    "expires",
    "cors",
    "chunk",
};

static int all_harmless(const ap_filter_t *f)
{
    for (; f; f = f->next) {
        apr_size_t i;

        for (i = 0; i < RS_ARRAY_LEN(harmless) && ap_cstr_casecmp(f->frec->name, harmless[i]);
             i++) {
        }
        if (i == RS_ARRAY_LEN(harmless)) {
            return 0;
        }
    }
    return 1;
}

int rs_handoff_possible(request_rec *r)
{
    const conn_rec *c = r->connection;

    return rs_conf_dir(r)->handoff && !c->master && ap_get_conn_socket((conn_rec *)c)
           && all_harmless(r->output_filters) && all_harmless(r->input_filters);
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

int rs_handoff(request_rec *r, rs_client_params_t *params)
{
    conn_rec *c = r->connection;
    handoff_t *handoff = apr_pcalloc(c->pool, sizeof(*handoff));
    apr_os_sock_t fd;

    handoff->engine = rs_child_engine();
    if (apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS
        || (params->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, apr_get_os_error(), r,
                      "RS0721: the connection cannot be taken over");
        rs_engine_unreserve(handoff->engine);
        return OK; /* the headers are out: closing is all that is left */
    }
    handoff->client = rs_client_create(params);
    if (!handoff->client) {
        close(params->fd);
        rs_engine_unreserve(handoff->engine);
        return OK;
    }
    rs_transport_socket_setup(params->fd, rs_child_send_buffer());
    ap_set_module_config(c->conn_config, &ragline_stream_module, handoff);
    apr_pool_cleanup_register(c->pool, handoff, submit, apr_pool_cleanup_null);
    return OK;
}

static int log_transaction(request_rec *r)
{
    if (ap_get_module_config(r->connection->conn_config, &ragline_stream_module)) {
        r->connection->aborted = 1;
    }
    return DECLINED;
}

void rs_handoff_hooks(apr_pool_t *p)
{
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_REALLY_LAST);
}
