/* SPDX-License-Identifier: Apache-2.0
 *
 * The statistics page as a response: what only the configuration knows is added to it. The worker.
 */
#include "../conf/rs_httpd.h"
#include <http_main.h>

#include "../obs/rs_stats_groups.h"
#include "../obs/rs_stats_page.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_pumps.h"
#include "rs_stats_handler.h"

/* Any host with a Redis has the pool that has looked at its settings. */
static void add_risks(json_t *page, server_rec *s)
{
    for (; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        rs_stats_page_risks(page, conf->url->label,
                            conf->pool ? rs_redis_pool_hints(conf->pool) : 0);
    }
}

int rs_stats_handler(request_rec *r)
{
    const rs_server_conf_t *conf = rs_conf_server(r->server);
    const char *tenant;
    json_t *page;
    char *text;
    int rv;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    page = rs_stats_page(rs_pumps_limits()->all);
    add_risks(page, ap_server_conf);
    tenant = rs_identity_tenant(r);
    if (tenant) {
        json_object_set_new(page, "groups",
                            rs_stats_groups(r->pool, conf->grouped, conf->pool, tenant));
    }
    text = json_dumps(page, JSON_INDENT(2));
    json_decref(page);
    if (!text) {
        return rs_http_error(r, HTTP_INTERNAL_SERVER_ERROR, "memory", "out of memory");
    }
    rv = rs_http_json(r, HTTP_OK, apr_pstrcat(r->pool, text, "\n", NULL));
    free(text);
    return rv;
}
