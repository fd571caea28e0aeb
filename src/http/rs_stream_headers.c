/* SPDX-License-Identifier: Apache-2.0
 *
 * What every response that is a stream says of itself. The worker.
 */
#include "rs_request.h"
#include "rs_stream_headers.h"
#include "rs_websocket.h"

const rs_wire_t *rs_stream_wire(request_rec *r)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    unsigned allowed = (unsigned)conf->wires;

    if (rs_request_kind(r) == RS_KIND_GATEWAY) {
        return &rs_wire_gateway;
    }
    if (rs_request_kind(r) == RS_KIND_WEBSOCKET) {
        return !conf->ws_ragline                  ? &rs_wire_websocket
               : !strcmp(conf->profile, "orders") ? &rs_wire_websocket_orders
                                                  : &rs_wire_websocket_plain;
    }
    /* Nobody could say of an answer that it was taken. */
    if (conf->shared) {
        allowed &= ~(1u << RS_WIRE_POLL);
    }
    return rs_wires_choose(allowed, apr_table_get(r->headers_in, "Accept"));
}

void rs_stream_headers(request_rec *r)
{
    const rs_wire_t *wire = rs_stream_wire(r);

    if (wire->peer) {
        rs_websocket_accept(r);
        return;
    }
    ap_set_content_type(r, wire->media_type);
    if (wire->one_batch) {
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        apr_table_setn(r->subprocess_env, "no-brotli", "1");
        return;
    }
    /* Nothing may be framed: what follows the headers is the stream itself. */
    r->connection->keepalive = AP_CONN_CLOSE;
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache, no-transform");
    apr_table_setn(r->headers_out, "X-Accel-Buffering", "no");
    apr_table_setn(r->headers_out, "Incremental", "?1"); /* RFC 10036 */
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
}
