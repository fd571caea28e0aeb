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
