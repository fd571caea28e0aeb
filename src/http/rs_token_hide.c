/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking tokens out of what is logged. A token that is found at a location of its own is taken out
 * at once (rs_token.c). Every other request keeps its query, which may be another application's,
 * until it is logged: log_transaction runs for each of them, also for those that httpd answers
 * before any other hook, with 400, 408 or 414. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../conf/rs_conf.h"
#include "rs_token_hide.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

apr_size_t rs_token_parameter(const char *s, const char *name)
{
    const char *start = s;

    for (; *name; name++) {
        if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
            if (hex_digit(s[1]) * 16 + hex_digit(s[2]) != *name) {
                return 0;
            }
            s += 3;
        }
        else if (*s++ != *name) {
            return 0;
        }
    }
    return *s == '=' ? (apr_size_t)(s + 1 - start) : 0;
}

static apr_size_t a_token(const char *s)
{
    const apr_array_header_t *names = rs_conf_query_tokens();
    apr_size_t n = 0;
    int i;

    for (i = 0; n == 0 && i < names->nelts; i++) {
        n = rs_token_parameter(s, APR_ARRAY_IDX(names, i, const char *));
    }
    return n;
}

/* The text, a query or whatever has one in it, without such parameters; NULL: it has none. */
static char *without(apr_pool_t *p, const char *text)
{
    const char *s = text;
    char *out = NULL, *end = NULL;
    int begins = 1; /* here a parameter may begin */

    while (s && *s) {
        apr_size_t n = begins ? a_token(s) : 0;

        if (n) {
            if (!out) {
                out = apr_pstrdup(p, text);
                end = out + (s - text);
            }
            s += n;
            s += strcspn(s, "& \t");
            begins = *s == '&';
            s += begins;
            if (!begins && end > out && (end[-1] == '?' || end[-1] == '&')) {
                end--;
            }
            continue;
        }
        begins = *s == '?' || *s == '&';
        if (out) {
            *end++ = *s;
        }
        s++;
    }
    if (out) {
        *end = '\0';
    }
    return out;
}

static int hide(request_rec *r)
{
    char *line = without(r->pool, r->the_request), *uri = without(r->pool, r->unparsed_uri);
    char *args = without(r->pool, r->args);

    if (line) {
        r->the_request = line;
    }
    if (uri) {
        r->unparsed_uri = uri;
    }
    if (args) {
        r->args = *args ? args : NULL;
    }
    if (r->parsed_uri.query && (args = without(r->pool, r->parsed_uri.query)) != NULL) {
        r->parsed_uri.query = *args ? args : NULL;
    }
    return line || uri || args;
}

/* mod_status keeps the line that it was shown last. */
static void show(request_rec *r, int status)
{
    if (r->connection->sbh) {
        ap_update_child_status(r->connection->sbh, status, r);
    }
}

void rs_token_hide(request_rec *r)
{
    if (hide(r)) {
        show(r, SERVER_BUSY_READ);
    }
}

/* X-Original-URI among the headers, Location among those of the answer, QUERY_STRING among the
 * variables, whatever a proxy or another module has put there. */
static void hide_in_table(apr_pool_t *p, apr_table_t *table)
{
    const apr_array_header_t *all = apr_table_elts(table);
    int i;

    for (i = 0; i < all->nelts; i++) {
        apr_table_entry_t *entry = &APR_ARRAY_IDX(all, i, apr_table_entry_t);
        char *value = without(p, entry->val);

        if (value) {
            entry->val = value;
        }
    }
}

/* First of all: what is done with the request is done, and now it is told. */
static int log_transaction(request_rec *r)
{
    request_rec *one = r;
    int hidden = 0;

    if (rs_conf_query_tokens()->nelts == 0) {
        return DECLINED;
    }
    while (one->prev) {
        one = one->prev;
    }
    for (; one; one = one->next) {
        hidden |= hide(one);
        hide_in_table(one->pool, one->headers_in);
        hide_in_table(one->pool, one->headers_out);
        hide_in_table(one->pool, one->err_headers_out);
        hide_in_table(one->pool, one->subprocess_env);
    }
    if (hidden) {
        show(r, SERVER_BUSY_LOG);
    }
    return DECLINED;
}

/* A path that httpd refuses before it looks for a location. */
static int path_refused(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    char *path = apr_pstrdup(r->pool, r->parsed_uri.path);

    return !ap_normalize_path(path, AP_NORMALIZE_NOT_ABOVE_ROOT | AP_NORMALIZE_DECODE_UNRESERVED)
           || (!core->allow_encoded_slashes
               && ap_unescape_url_ex(path, AP_UNESCAPE_URL_KEEP_UNRESERVED
                                               | AP_UNESCAPE_URL_FORBID_SLASHES)
                      != OK);
}

/* The error log quotes such a path with its query (AH10244, AH00026), and has the Referer in every
 * line that is about a request. */
static int post_read_request(request_rec *r)
{
    const char *referer = apr_table_get(r->headers_in, "Referer");

    if (rs_conf_query_tokens()->nelts == 0) {
        return DECLINED;
    }
    if (referer && (referer = without(r->pool, referer)) != NULL) {
        apr_table_setn(r->headers_in, "Referer", referer);
    }
    if (r->parsed_uri.path && path_refused(r)) {
        rs_token_hide(r);
    }
    return DECLINED;
}

void rs_token_hide_hooks(apr_pool_t *p)
{
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
