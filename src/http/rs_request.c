/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of a request: made when it is first asked for. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_request.h"

rs_request_t *rs_request(request_rec *r)
{
    rs_request_t *req = ap_get_module_config(r->request_config, &ragline_stream_module);

    if (!req) {
        req = apr_pcalloc(r->pool, sizeof(*req));
        ap_set_module_config(r->request_config, &ragline_stream_module, req);
    }
    return req;
}

rs_kind_t rs_request_is(request_rec *r)
{
    rs_request_t *req = rs_request(r);

    if (r->main || r->prev) {
        return RS_KIND_NONE;
    }
    if (req->kind_of != r->per_dir_config) {
        req->kind = rs_conf_kind(r);
        req->kind_of = r->per_dir_config;
    }
    return req->kind;
}

/* What was no endpoint before files were looked at is none: a SetHandler in .htaccess or for a
 * directory does not make one. */
rs_kind_t rs_request_kind(request_rec *r)
{
    return rs_request(r)->claimed ? rs_request_is(r) : RS_KIND_NONE;
}

const rs_dir_conf_t *rs_request_conf(request_rec *r)
{
    rs_request_t *req = rs_request(r);

    if (req->conf_of != r->per_dir_config) {
        req->conf = rs_conf_dir(r);
        req->conf_of = r->per_dir_config;
    }
    return req->conf;
}
