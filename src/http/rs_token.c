/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding tokens. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_request.h"
#include "rs_token.h"

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

/* "GET /a?b=c HTTP/1.1" or "/a?b=c" with another query. */
static char *with_query(request_rec *r, const char *line, const char *args)
{
    const char *question = line ? strchr(line, '?') : NULL;
    const char *rest = question ? strchr(question, ' ') : NULL;

    if (!question) {
        return apr_pstrdup(r->pool, line);
    }
    return apr_pstrcat(r->pool, apr_pstrmemdup(r->pool, line, (apr_size_t)(question - line)),
                       args ? "?" : "", args ? args : "", rest ? rest : "", NULL);
}

static void replace_query(request_rec *r, const char *args)
{
    r->args = args ? apr_pstrdup(r->pool, args) : NULL;
    r->the_request = with_query(r, r->the_request, args);
    r->unparsed_uri = with_query(r, r->unparsed_uri, args);
    r->parsed_uri.query = r->args;
    /* mod_status has noted the old line. */
    if (r->connection->sbh) {
        ap_update_child_status(r->connection->sbh, SERVER_BUSY_READ, r);
    }
}

/* Every parameter of the name goes; the first one's value is returned. */
static const char *from_query(request_rec *r, const char *name)
{
    apr_size_t len = strlen(name);
    const char *token = NULL;
    char *copy, *last, *pair, *kept, *end;
    int found = 0;

    if (!r->args || !ap_strstr_c(r->args, name)) {
        return NULL;
    }
    copy = apr_pstrdup(r->pool, r->args);
    kept = end = apr_palloc(r->pool, strlen(r->args) + 2);
    for (pair = apr_strtok(copy, "&", &last); pair; pair = apr_strtok(NULL, "&", &last)) {
        if (!strncmp(pair, name, len) && (pair[len] == '=' || pair[len] == '\0')) {
            found = 1;
            if (!token && pair[len] == '=' && pair[len + 1]) {
                char *value = apr_pstrdup(r->pool, pair + len + 1);

                token = ap_unescape_urlencoded(value) == OK ? value : "";
            }
            continue;
        }
        if (end > kept) {
            *end++ = '&';
        }
        end = apr_cpystrn(end, pair, strlen(pair) + 1);
    }
    if (found) {
        replace_query(r, end > kept ? kept : NULL);
    }
    return token;
}

void rs_token_look(request_rec *r)
{
    static const rs_token_from_t header = {RS_TOKEN_HEADER, NULL};
    rs_request_t *req = rs_request(r);
    const apr_array_header_t *from = rs_conf_dir(r)->token_from;
    int i, n = from ? from->nelts : 1;

    if (req->token_looked_for) {
        return;
    }
    req->token_looked_for = 1;
    /* All of them, even when one was found: a token in the query must go in any case. */
    for (i = 0; i < n; i++) {
        const rs_token_from_t *where = from ? &APR_ARRAY_IDX(from, i, rs_token_from_t) : &header;
        const char *token = where->from == RS_TOKEN_HEADER   ? from_header(r)
                            : where->from == RS_TOKEN_COOKIE ? from_cookie(r, where->name)
                                                             : from_query(r, where->name);

        if (token && !req->token) {
            req->token = token;
            req->token_from_cookie = where->from == RS_TOKEN_COOKIE;
        }
    }
}
