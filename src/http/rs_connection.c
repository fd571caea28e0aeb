/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of a connection, in its own configuration. Its thread.
 */
#include "../conf/rs_httpd.h"

#include "rs_connection.h"

rs_connection_t *rs_connection_of(const conn_rec *c)
{
    return ap_get_module_config(c->conn_config, &ragline_stream_module);
}

rs_connection_t *rs_connection(conn_rec *c)
{
    rs_connection_t *mine = rs_connection_of(c);

    if (!mine) {
        mine = apr_pcalloc(c->pool, sizeof(*mine));
        ap_set_module_config(c->conn_config, &ragline_stream_module, mine);
    }
    return mine;
}

apr_bucket_brigade *rs_connection_brigade(conn_rec *c)
{
    rs_connection_t *mine = rs_connection(c);

    if (!mine->bb) {
        mine->bb = apr_brigade_create(c->pool, c->bucket_alloc);
    }
    return mine->bb;
}

apr_ssize_t rs_connection_read(conn_rec *c, char *buf, apr_size_t size)
{
    apr_bucket_brigade *bb = rs_connection_brigade(c);
    apr_size_t n = size;
    apr_status_t rv;

    rv = ap_get_brigade(c->input_filters, bb, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                        (apr_off_t)size);
    if (rv != APR_SUCCESS || APR_BRIGADE_EMPTY(bb)
        || (rv = apr_brigade_flatten(bb, buf, &n)) != APR_SUCCESS) {
        n = 0;
    }
    apr_brigade_cleanup(bb);
    if (n) {
        return (apr_ssize_t)n;
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_EAGAIN(rv) ? 0
           : APR_STATUS_IS_EOF(rv)                       ? RS_CONNECTION_END
                                                         : -1;
}
