/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked for in the query of a list of administrators. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../base/rs_name.h"
#include "../conf/rs_args.h"
#include "rs_admin_do.h"
#include "rs_admin_query.h"
#include "rs_error.h"

#define LIMIT 100

static int bad(request_rec *r, const char *code, const char *message)
{
    return rs_http_error(r, HTTP_BAD_REQUEST, code, message);
}

/* One parameter. */
static int take(request_rec *r, rs_admin_query_t *query, const char *name, char *value)
{
    const char **wanted = !strcmp(name, "tenant")    ? &query->tenant
                          : !strcmp(name, "user")    ? &query->user
                          : !strcmp(name, "profile") ? &query->profile
                                                     : NULL;

    if (ap_unescape_urlencoded(value) != OK) {
        return bad(r, "bad_query", "the query cannot be decoded");
    }
    if (wanted && !rs_name_valid(value, strlen(value))) {
        return bad(r, "bad_name", "tenant, user and profile are 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    if (wanted) {
        *wanted = value;
    }
    if (!strcmp(name, "limit")
        && rs_args_number(&query->limit, r->pool, value, 1, RS_ADMIN_LIMIT_MAX)) {
        return bad(r, "bad_limit", "limit is a number from 1 to 1000");
    }
    if (!strcmp(name, "after")) {
        query->after = value;
    }
    return OK;
}

/* Only of its own tenant, unless the location is for all. */
static int narrow(request_rec *r, rs_admin_query_t *query)
{
    const char *scope;
    int status = rs_admin_scope(r, &scope);

    if (status == OK && scope && query->tenant && strcmp(query->tenant, scope)) {
        status = rs_http_error(r, HTTP_FORBIDDEN, "tenant",
                               "this location is for the caller's own tenant only");
    }
    query->tenant = scope ? scope : query->tenant;
    return status;
}

int rs_admin_query(request_rec *r, rs_admin_query_t *query)
{
    char *arg, *last;
    int status = OK;

    *query = (rs_admin_query_t){.limit = LIMIT};
    for (arg = r->args ? apr_strtok(apr_pstrdup(r->pool, r->args), "&", &last) : NULL;
         arg && status == OK; arg = apr_strtok(NULL, "&", &last)) {
        char *value = strchr(arg, '=');

        if (value) {
            *value++ = '\0';
            status = take(r, query, arg, value);
        }
    }
    return status == OK ? narrow(r, query) : status;
}
