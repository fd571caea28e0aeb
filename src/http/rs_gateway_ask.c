/* SPDX-License-Identifier: Apache-2.0
 *
 * The URL as it came, and the headers by their names in lower case; of one that came twice httpd
 * has joined the values. A token in the query has been taken out of every request by now.
 */
#include "rs_gateway_ask.h"

#include "rs_request.h"

/* Bytes of the URL and of all headers: several times what browsers and proxies send. */
#define ASK_MAX (32 * 1024)

typedef struct {
    rs_buf_t *b;
    request_rec *r;
    const char *token; /* that is left out; NULL: none is */
    int checked;       /* httpd has checked who it is: no application gets their password */
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
    if (!strcmp(lower, "authorization")
        && (a->checked || (a->token && is_the_token(value, a->token)))) {
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

static int add_length(void *data, const char *name, const char *value)
{
    *(apr_size_t *)data += strlen(name) + strlen(value);
    return 1;
}

int rs_gateway_asks_too_much(request_rec *r)
{
    apr_size_t len = strlen(r->unparsed_uri);

    apr_table_do(add_length, &len, r->headers_in, NULL);
    return len > ASK_MAX;
}

void rs_gateway_ask(rs_buf_t *b, request_rec *r)
{
    asked_t a = {b, r, NULL, 0, 0};

    if (!rs_request_conf(r)->gateway_forward) {
        a.token = rs_request(r)->jwt ? rs_request(r)->token : NULL;
        a.checked = r->ap_auth_type && !rs_request(r)->jwt;
    }
    rs_buf_puts(b, "{\"url\":");
    rs_buf_json(b, r->unparsed_uri, strlen(r->unparsed_uri));
    rs_buf_puts(b, ",\"headers\":{");
    apr_table_do(add_header, &a, r->headers_in, NULL);
    rs_buf_puts(b, "}}");
}
