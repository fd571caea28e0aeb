/* SPDX-License-Identifier: Apache-2.0
 *
 * What every response that is a stream says of itself. The worker.
 */
#include "rs_sse_headers.h"

void rs_sse_headers(request_rec *r)
{
    /* Nothing may be framed: what follows the headers is the stream itself. */
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_set_content_type(r, "text/event-stream");
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache, no-transform");
    apr_table_setn(r->headers_out, "X-Accel-Buffering", "no");
    apr_table_setn(r->headers_out, "Incremental", "?1"); /* RFC 10036 */
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
}
