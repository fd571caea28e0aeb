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
static int take(request_rec *r, rs_admin_query_t *query, const char *name, char *value,
                int of_users)
{
    static const char *const names[] = {"tenant", "limit", "after", "user", "profile"};
    const char **texts[] = {&query->tenant, NULL, &query->after, &query->user, &query->profile};
    int known = of_users ? 3 : (int)RS_ARRAY_LEN(names), i;

    for (i = 0; i < known && strcmp(name, names[i]); i++) {
    }
    if (i == known || ap_unescape_urlencoded(value) != OK) {
        /* A filter that is misspelled would be none. */
        return bad(r, "bad_query",
                   of_users ? "the query cannot be decoded, or has something else in it than "
                              "tenant, limit and after"
                            : "the query cannot be decoded, or has something else in it than "
                              "tenant, user, profile, limit and after");
    }
    if (!texts[i]) {
        return rs_args_number(&query->limit, r->pool, value, 1, RS_ADMIN_LIMIT_MAX)
                   ? bad(r, "bad_limit", "limit is a number from 1 to 1000")
                   : OK;
    }
    if (texts[i] != &query->after && !rs_name_valid(value, strlen(value))) {
        return bad(r, "bad_name", "tenant, user and profile are 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    *texts[i] = value;
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

int rs_admin_query(request_rec *r, rs_admin_query_t *query, int of_users)
{
    char *arg, *last;
    int status = OK;

    *query = (rs_admin_query_t){.limit = LIMIT};
    for (arg = r->args ? apr_strtok(apr_pstrdup(r->pool, r->args), "&", &last) : NULL;
         arg && status == OK; arg = apr_strtok(NULL, "&", &last)) {
        char *value = strchr(arg, '=');

        if (value) {
            *value++ = '\0';
        }
        status = take(r, query, arg, value ? value : apr_pstrdup(r->pool, ""), of_users);
    }
    return status == OK ? narrow(r, query) : status;
}
