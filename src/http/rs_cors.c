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

static ap_filter_rec_t *filter;

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

/* Of a host's RaglineOrigins what is for operators, or for applications, has nothing. */
static int is_for_operators(request_rec *r)
{
    rs_kind_t kind = rs_request_kind(r);

    return kind == RS_KIND_STATS || kind == RS_KIND_HEALTH || kind == RS_KIND_GATEWAY_SEND
           || kind == RS_KIND_GATEWAY_HEALTH || kind == RS_KIND_ADMIN || kind == RS_KIND_WS_STATS;
}

/* A browser tells a page nothing of why its WebSocket was refused, and behind a proxy that page is
 * often the site's own. */
void rs_cors_note_foreign(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin"), *own = own_origin(r);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "RS0713: refused: %s%s, and for httpd this host is %s: if the page is its own, "
                  "and a proxy is in front, have that pass on Host (ProxyPreserveHost On), and "
                  "write ServerName https://NAME where it ends TLS; else name the page's origin in "
                  "RaglineOrigins",
                  origin ? "a page of " : "the request does not say whose page it is of",
                  origin ? origin : "", own ? own : "without a name");
}

int rs_cors_refuse(request_rec *r)
{
    rs_cors_note_foreign(r);
    return rs_http_error(r, HTTP_FORBIDDEN, "origin",
                         "pages of this origin may not use this endpoint (RaglineOrigins)");
}

enum { NOT_LISTED, LISTED, ANYBODY };

static int listed(request_rec *r, const char *origin)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    int i;

    for (i = 0; !is_for_operators(r) && conf->origins && i < conf->origins->nelts; i++) {
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

static int is_preflight(request_rec *r)
{
    return r->method_number == M_OPTIONS
           && apr_table_get(r->headers_in, "Access-Control-Request-Method");
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
        rs_request(r)->kind == RS_KIND_SSE
            ? "Authorization, Cache-Control, Content-Type, Last-Event-ID, X-Ragline-Connection"
            : "Authorization, Cache-Control, Content-Type, Last-Event-ID";
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

/* Sets what `asked` is to be told in the answer r, which is another request where ErrorDocument has
 * a page. Whatever else says of it (mod_headers) goes: a browser takes neither two of these headers
 * nor "*" for a request with credentials. Returns whether the page may come. */
static int set_headers(request_rec *r, request_rec *asked)
{
    static const char *const names[] = {
        "Access-Control-Allow-Origin",  "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        "Access-Control-Max-Age",
    };
    const char *origin = apr_table_get(asked->headers_in, "Origin");
    int allowed = origin ? listed(asked, origin) : NOT_LISTED;
    apr_size_t i;

    for (i = 0; rs_request_conf(asked)->origins && i < RS_ARRAY_LEN(names); i++) {
        apr_table_unset(r->headers_out, names[i]);
        apr_table_unset(r->err_headers_out, names[i]);
    }
    if (allowed == ANYBODY) {
        /* Never with credentials: then any page could read with the visitor's cookies. */
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
    }
    else if (allowed == LISTED) {
        apr_table_set(r->err_headers_out, "Access-Control-Allow-Origin", origin);
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Credentials", "true");
    }
    allowed = allowed != NOT_LISTED || (origin && same_origin(asked, origin));
    if (allowed && is_preflight(asked)) {
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Methods",
                       rs_request(asked)->kind == RS_KIND_PUBLISH ? "POST"
                       : rs_request(asked)->kind == RS_KIND_SSE   ? "GET, POST"
                                                                  : "GET");
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Headers", allowed_headers(asked));
        apr_table_setn(r->err_headers_out, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
    }
    return allowed;
}

static int preflight(request_rec *r, int allowed)
{
    if (!allowed) {
        return rs_cors_refuse(r);
    }
    apr_table_mergen(r->err_headers_out, "Vary", "Access-Control-Request-Headers");
    r->status = HTTP_NO_CONTENT;
    ap_run_insert_filter(r); /* the site's own headers, as on any other response */
    ap_finalize_request_protocol(r);
    return DONE;
}

int rs_cors(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    int allowed;

    if (is_for_operators(r)) {
        return DECLINED;
    }
    /* A browser asks nobody whether a page may open one, and tells whose it is. */
    if (rs_request_kind(r) == RS_KIND_WEBSOCKET) {
        return rs_cors_page_allowed(r) ? DECLINED : rs_cors_refuse(r);
    }
    if (rs_request_conf(r)->origins) {
        apr_table_mergen(r->err_headers_out, "Vary", "Origin");
    }
    if (!origin) {
        return DECLINED;
    }
    allowed = set_headers(r, r);
    if (is_preflight(r)) {
        return preflight(r, allowed);
    }
    if (allowed) {
        /* What a script may see of an error, besides its body: a token that is no longer good, and
         * when to try again. */
        apr_table_setn(r->err_headers_out, "Access-Control-Expose-Headers",
                       "ETag, Retry-After, WWW-Authenticate");
    }
    return DECLINED;
}

/* Set early, for whatever ends the request, and once more when everybody else has set theirs. */
static apr_status_t last_word(ap_filter_t *f, apr_bucket_brigade *in)
{
    request_rec *asked = f->r;

    while (asked->prev) {
        asked = asked->prev;
    }
    set_headers(f->r, asked);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, in);
}

static void insert_filter(request_rec *r)
{
    request_rec *asked = r;
    rs_kind_t kind;

    while (asked->prev) {
        asked = asked->prev;
    }
    kind = rs_request_kind(asked);
    if (!r->main && (kind == RS_KIND_SSE || kind == RS_KIND_PUBLISH || kind == RS_KIND_GATEWAY)
        && rs_request_conf(asked)->origins) {
        ap_add_output_filter_handle(filter, NULL, r, r->connection);
    }
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
        return same_origin(r, origin) || listed(r, origin) == LISTED;
    }
    if (site) {
        return !strcmp(site, "same-origin");
    }
    return referer && referer_is_own(r, referer);
}

/* Every browser's name begins so, and a page cannot have another one sent without a preflight. */
static int is_browser(request_rec *r)
{
    const char *agent = apr_table_get(r->headers_in, "User-Agent");

    return agent && !strncmp(agent, "Mozilla/", 8);
}

int rs_cors_page_allowed(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const rs_request_t *req = rs_request(r);

    return !origin || same_origin(r, origin) || listed(r, origin) == LISTED
           || (listed(r, origin) == ANYBODY && (!r->user || (req->jwt && !req->token_from_cookie)));
}

int rs_cors_is_foreign(request_rec *r)
{
    const rs_request_t *req = rs_request(r);

    if ((req->jwt && !req->token_from_cookie) || rs_cors_cookie_allowed(r)) {
        return 0;
    }
    return is_browser(r) || apr_table_get(r->headers_in, "Origin")
           || apr_table_get(r->headers_in, "Sec-Fetch-Site")
           || apr_table_get(r->headers_in, "Referer");
}

void rs_cors_hooks(apr_pool_t *p)
{
    /* After those of mod_headers, and before the headers are made. */
    filter = ap_register_output_filter("RAGLINE_CORS", last_word, NULL, AP_FTYPE_PROTOCOL - 1);
    ap_hook_insert_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);
}
