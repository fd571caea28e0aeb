/* SPDX-License-Identifier: Apache-2.0
 *
 * The URL as it came, and the headers by their names in lower case; of one that came twice httpd
 * has joined the values. A token in the query has been taken out of every request by now.
 */
#include "rs_gateway_ask.h"

#include "rs_request.h"

typedef struct {
    rs_buf_t *b;
    request_rec *r;
    const char *token; /* that is left out; NULL: none is */
    int n;
} asked_t;

/* The cookies without those that are the token. NULL: there is no other. */
static const char *other_cookies(apr_pool_t *p, const char *cookies, const char *token)
{
    char *pair, *rest;
    const char *out = NULL;

    for (pair = apr_strtok(apr_pstrdup(p, cookies), ";", &rest); pair;
         pair = apr_strtok(NULL, ";", &rest)) {
        const char *value = strchr(pair, '=');

        while (*pair == ' ' || *pair == '\t') {
            pair++;
        }
        if (!value || strcmp(value + 1, token)) {
            out = out ? apr_pstrcat(p, out, "; ", pair, NULL) : pair;
        }
    }
    return out;
}

static int is_the_token(const char *credentials, const char *token)
{
    apr_size_t len = strlen(credentials), n = strlen(token);

    return len > n && !strcmp(credentials + len - n, token);
}

static int add_header(void *data, const char *name, const char *value)
{
    asked_t *a = data;
    char *lower = apr_pstrdup(a->r->pool, name);

    ap_str_tolower(lower);
    if (a->token && !strcmp(lower, "cookie")) {
        value = other_cookies(a->r->pool, value, a->token);
    }
    if (a->token && !strcmp(lower, "authorization") && is_the_token(value, a->token)) {
        value = NULL;
    }
    if (value) {
        rs_buf_puts(a->b, a->n++ ? "," : "");
        rs_buf_json(a->b, lower, strlen(lower));
        rs_buf_puts(a->b, ":");
        rs_buf_json(a->b, value, strlen(value));
    }
    return 1;
}

void rs_gateway_ask(rs_buf_t *b, request_rec *r)
{
    asked_t a = {b, r, NULL, 0};

    if (rs_request(r)->jwt && !rs_request_conf(r)->gateway_forward) {
        a.token = rs_request(r)->token;
    }
    rs_buf_puts(b, "{\"url\":");
    rs_buf_json(b, r->unparsed_uri, strlen(r->unparsed_uri));
    rs_buf_puts(b, ",\"headers\":{");
    apr_table_do(add_header, &a, r->headers_in, NULL);
    rs_buf_puts(b, "}}");
}
