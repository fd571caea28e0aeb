/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding tokens. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_request.h"
#include "rs_token.h"
#include "rs_token_hide.h"
#include "rs_websocket.h"

static const char *from_header(request_rec *r)
{
    const char *value = apr_table_get(r->headers_in, "Authorization");

    if (!value || ap_cstr_casecmpn(value, "Bearer", 6) || (value[6] != ' ' && value[6] != '\t')) {
        return NULL;
    }
    for (value += 6; *value == ' ' || *value == '\t'; value++) {
    }
    return *value ? value : NULL;
}

/* RFC 6265, 4.2.1: "a=1; b=2". The first of a name counts. */
static const char *from_cookie(request_rec *r, const char *name)
{
    const char *cookies = apr_table_get(r->headers_in, "Cookie");
    char *last, *pair, *copy;
    apr_size_t len = strlen(name);

    if (!cookies) {
        return NULL;
    }
    copy = apr_pstrdup(r->pool, cookies);
    for (pair = apr_strtok(copy, ";", &last); pair; pair = apr_strtok(NULL, ";", &last)) {
        while (*pair == ' ' || *pair == '\t') {
            pair++;
        }
        if (!strncmp(pair, name, len) && pair[len] == '=' && pair[len + 1]) {
            return pair + len + 1;
        }
    }
    return NULL;
}

/* The first parameter of the name that has a value. */
static const char *from_query(request_rec *r, const char *name)
{
    const char *pair = r->args, *token = NULL;
    char *value;

    while (pair && !token) {
        apr_size_t n = rs_token_parameter(pair, name);

        if (n && pair[n] && pair[n] != '&') {
            value = apr_pstrmemdup(r->pool, pair + n, strcspn(pair + n, "&"));
            token = ap_unescape_urlencoded(value) == OK ? value : "";
        }
        pair = ap_strchr_c(pair, '&');
        pair += pair != NULL;
    }
    return token;
}

void rs_token_look(request_rec *r)
{
    static const rs_token_from_t header = {RS_TOKEN_HEADER, NULL};
    rs_request_t *req = rs_request(r);
    const apr_array_header_t *from = rs_request_conf(r)->token_from;
    int i, n = from ? from->nelts : 1;
    /* Browsers cannot give a WebSocket a header of their own; this one they can. */
    const char *offered = rs_request_is(r) == RS_KIND_WEBSOCKET ? rs_websocket_token(r) : NULL;

    if (req->token_looked_for) {
        return;
    }
    req->token_looked_for = 1;
    for (i = 0; i < n && !req->token; i++) {
        const rs_token_from_t *where = from ? &APR_ARRAY_IDX(from, i, rs_token_from_t) : &header;
        const char *token = where->from == RS_TOKEN_HEADER   ? from_header(r)
                            : where->from == RS_TOKEN_COOKIE ? from_cookie(r, where->name)
                                                             : from_query(r, where->name);

        if (!token && where->from == RS_TOKEN_HEADER) {
            token = offered;
        }
        req->token = token;
        req->token_from_cookie = token && where->from == RS_TOKEN_COOKIE;
    }
    /* Whichever was taken, and whether one was. */
    rs_token_hide(r);
}
