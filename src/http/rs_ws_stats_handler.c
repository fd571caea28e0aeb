/* SPDX-License-Identifier: Apache-2.0
 *
 * The statistics of WebSockets as a response: of the caller's tenant, or, where the location says
 * so, of all. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../conf/rs_conf.h"
#include "../obs/rs_ws_stats.h"
#include "rs_admin_do.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_revocation_check.h"
#include "rs_ws_stats_handler.h"

int rs_ws_stats_handler(request_rec *r)
{
    rs_whom_t whom = {.realm = rs_conf_server(r->server)->url->label};
    rs_buf_t b = RS_BUF_INIT;
    int status;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if ((status = rs_revocation_check_caller(r)) != OK
        || (status = rs_admin_scope(r, &whom.tenant)) != OK) {
        return status;
    }
    if (!rs_child_registry()) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this child keeps no list of connections");
    }
    rs_ws_stats(&b, r->pool, rs_child_registry(), &whom, apr_time_now());
    rs_buf_add(&b, "", 1);
    if (!rs_buf_ok(&b)) {
        rs_buf_free(&b);
        return rs_http_error(r, HTTP_INTERNAL_SERVER_ERROR, "memory", "out of memory");
    }
    status = rs_http_json(r, HTTP_OK, b.data);
    rs_buf_free(&b);
    return status;
}
