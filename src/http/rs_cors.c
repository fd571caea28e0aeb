/* SPDX-License-Identifier: Apache-2.0
 *
 * Origins (RFC 6454, Fetch standard). The worker.
 */
#include "../conf/rs_httpd.h"

#include "../proto/rs_cloudevent.h"
#include "rs_cors.h"
#include "rs_error.h"
#include "rs_request.h"

#define PREFLIGHT_MAX_AGE "600"

/* "https://example.org", without the port where it is the scheme's own. */
static const char *own_origin(request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host");

    return host ? apr_pstrcat(r->pool, ap_http_scheme(r), "://", host, NULL) : NULL;
}

static int same_origin(request_rec *r, const char *origin)
{
    const char *own = own_origin(r);

    return own && !ap_cstr_casecmp(own, origin);
}

enum { NOT_LISTED, LISTED, ANYBODY };

static int listed(const rs_dir_conf_t *conf, const char *origin)
{
    int i;

    for (i = 0; conf->origins && i < conf->origins->nelts; i++) {
        const char *allowed = APR_ARRAY_IDX(conf->origins, i, const char *);

        if (!strcmp(allowed, "*")) {
            return ANYBODY;
        }
        if (!ap_cstr_casecmp(allowed, origin)) {
            return LISTED;
        }
    }
    return NOT_LISTED;
}

/* What a page may send. Attributes of a CloudEvent in binary mode are headers as well, and a
 * publisher may have some of its own: of those that the page asks for, all that can be one. "*"
 * would not do, since it does not count for requests with credentials. */
static const char *allowed_headers(request_rec *r)
{
    const char *asked = apr_table_get(r->headers_in, "Access-Control-Request-Headers");
    apr_array_header_t *names = apr_array_make(r->pool, 8, sizeof(const char *));
    char *name, *rest = NULL, *list;

    APR_ARRAY_PUSH(names, const char *) =
        "Authorization, Cache-Control, Content-Type, Last-Event-ID";
    if (asked && rs_request(r)->kind == RS_KIND_PUBLISH) {
        list = apr_pstrdup(r->pool, asked);
        ap_str_tolower(list);
        for (name = apr_strtok(list, ", \t", &rest); name; name = apr_strtok(NULL, ", \t", &rest)) {
            if (!strncmp(name, "ce-", 3) && rs_cloudevent_name_valid(name + 3, strlen(name + 3))) {
                APR_ARRAY_PUSH(names, const char *) = apr_pstrcat(r->pool, ", ", name, NULL);
            }
        }
    }
    return apr_array_pstrcat(r->pool, names, '\0');
}

static int preflight(request_rec *r, int allowed)
{
    const char *methods = rs_request(r)->kind == RS_KIND_PUBLISH ? "POST" : "GET";

    if (allowed == NOT_LISTED) {
        return rs_http_error(r, HTTP_FORBIDDEN, "origin",
                             "pages of this origin may not use this endpoint (RaglineOrigins)");
    }
    apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", methods);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", allowed_headers(r));
    apr_table_mergen(r->err_headers_out, "Vary", "Access-Control-Request-Headers");
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
    r->status = HTTP_NO_CONTENT;
    ap_run_insert_filter(r); /* the site's own headers, as on any other response */
    ap_finalize_request_protocol(r);
    return DONE;
}

int rs_cors(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    int allowed, is_preflight;

    if (rs_conf_dir(r)->origins) {
        apr_table_mergen(r->err_headers_out, "Vary", "Origin");
    }
    if (!origin) {
        return DECLINED;
    }
    allowed = listed(rs_conf_dir(r), origin);
    if (allowed == ANYBODY) {
        /* Never with credentials: then any page could read with the visitor's cookies. */
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
    }
    else if (allowed == LISTED) {
        apr_table_set(r->err_headers_out, "Access-Control-Allow-Origin", origin);
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Credentials", "true");
    }
    is_preflight = r->method_number == M_OPTIONS
                   && apr_table_get(r->headers_in, "Access-Control-Request-Method");
    if (is_preflight) {
        return preflight(r, allowed == NOT_LISTED && same_origin(r, origin) ? LISTED : allowed);
    }
    if (allowed != NOT_LISTED) {
        /* What a script may see of an error, besides its body: a token that is no longer good, and
         * when to try again. */
        apr_table_setn(r->err_headers_out, "Access-Control-Expose-Headers",
                       "Retry-After, WWW-Authenticate");
    }
    return DECLINED;
}

static int referer_is_own(request_rec *r, const char *referer)
{
    const char *own = own_origin(r);
    apr_size_t len = own ? strlen(own) : 0;

    return own && !ap_cstr_casecmpn(own, referer, len)
           && (referer[len] == '/' || referer[len] == '\0');
}

int rs_cors_cookie_allowed(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *referer = apr_table_get(r->headers_in, "Referer");

    if (origin) {
        return same_origin(r, origin) || listed(rs_conf_dir(r), origin) == LISTED;
    }
    if (site) {
        return !strcmp(site, "same-origin");
    }
    return referer && referer_is_own(r, referer);
}
