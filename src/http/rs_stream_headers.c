/* SPDX-License-Identifier: Apache-2.0
 *
 * What every response that is a stream says of itself. The worker.
 */
#include "rs_request.h"
#include "rs_stream_headers.h"

const rs_wire_t *rs_stream_wire(request_rec *r)
{
    return rs_wires_choose((unsigned)rs_request_conf(r)->wires,
                           apr_table_get(r->headers_in, "Accept"));
}

void rs_stream_headers(request_rec *r)
{
    /* Nothing may be framed: what follows the headers is the stream itself. */
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_set_content_type(r, rs_stream_wire(r)->media_type);
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache, no-transform");
    apr_table_setn(r->headers_out, "X-Accel-Buffering", "no");
    apr_table_setn(r->headers_out, "Incremental", "?1"); /* RFC 10036 */
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
}
