/* SPDX-License-Identifier: Apache-2.0
 *
 * What httpd says to a request without a user, by the Require of one section: the rules are those
 * of mod_authz_core, with all that an outcome may be in place of what it is. Main thread.
 */
#include "rs_httpd.h"

#include "rs_conf_tree.h"

typedef struct {
    apr_pool_t *pool;
    const char *method;
    rs_require_t *out;
} eval_t;

/* One more result in <RequireAll> (all), or else <RequireAny>. */
static unsigned step(int all, unsigned before, unsigned result)
{
    unsigned last = all ? RS_DENIED : RS_GRANTED;

    if (result == RS_NEUTRAL || before == last) {
        return before;
    }
    if (result == last || before == RS_NEUTRAL) {
        return result;
    }
    return result == RS_NO_USER ? result : before;
}

unsigned rs_require_both(int all, unsigned before, unsigned results)
{
    unsigned out = 0, a, b;

    for (a = RS_GRANTED; a <= RS_NEUTRAL; a <<= 1) {
        for (b = RS_GRANTED; b <= RS_NEUTRAL; b <<= 1) {
            out |= before & a && results & b ? step(all, a, b) : 0;
        }
    }
    return out;
}

static unsigned negate(unsigned results)
{
    return (results & RS_GRANTED ? RS_DENIED : 0) | (results & ~RS_GRANTED ? RS_NEUTRAL : 0);
}

static int has_word(apr_pool_t *p, const char *args, const char *word)
{
    while (*args) {
        if (!ap_cstr_casecmp(ap_getword_conf(p, &args), word)) {
            return 1;
        }
    }
    return 0;
}

static int is_one_of(const char *word, const char *const *list)
{
    while (*list && ap_cstr_casecmp(word, *list)) {
        list++;
    }
    return *list != NULL;
}

/* `Require expr` waits for the user only if REMOTE_USER is in it. What is not known here may be met
 * or not, with a user or without. */
static unsigned provider(apr_pool_t *p, const char *name, const char *args, const char *method)
{
    static const char *const of_users[] = {
        "valid-user", "user",       "group",   "ragline-claim",  "file-owner",  "file-group",
        "ldap-user",  "ldap-group", "ldap-dn", "ldap-attribute", "ldap-filter", "dbm-group",
        "dbd-group",  NULL};
    static const char *const of_requests[] = {"ip",  "host", "forward-dns",       "local",
                                              "env", "ssl",  "ssl-verify-client", NULL};

    if (!ap_cstr_casecmp(name, "all")) {
        return has_word(p, args, "granted") ? RS_GRANTED : RS_DENIED;
    }
    if (!ap_cstr_casecmp(name, "method")) {
        return has_word(p, args, method) ? RS_GRANTED : RS_DENIED;
    }
    if (is_one_of(name, of_users)) {
        return RS_NO_USER;
    }
    if (!ap_cstr_casecmp(name, "expr")) {
        return RS_GRANTED | (ap_strcasestr(args, "REMOTE_USER") ? RS_NO_USER : RS_DENIED);
    }
    return RS_GRANTED | RS_DENIED | (is_one_of(name, of_requests) ? 0 : RS_NO_USER);
}

static unsigned one(const eval_t *e, const ap_directive_t *at)
{
    const char *args = at->args ? at->args : "", *name = ap_getword_conf(e->pool, &args);
    int no = !ap_cstr_casecmp(name, "not");
    unsigned results;

    if (no) {
        name = ap_getword_conf(e->pool, &args);
    }
    results = provider(e->pool, name, args, e->method);
    if (results == RS_NO_USER && !e->out->asks) {
        e->out->asks = at;
    }
    return no ? negate(results) : results;
}

static unsigned list(const eval_t *e, const ap_directive_t *at, int all, unsigned results);

/* <Limit GET POST>: the others are not asked. */
static unsigned limited(const eval_t *e, const ap_directive_t *at, int all, unsigned results)
{
    char *methods = apr_pstrdup(e->pool, at->args ? at->args : "");
    char *end = strrchr(methods, '>');

    if (end) {
        *end = '\0';
    }
    if (has_word(e->pool, methods, e->method) == rs_tree_is(at, "<Limit")) {
        return list(e, at->first_child, all, results);
    }
    if (rs_tree_find(e->pool, at->first_child, "Require", NULL)) {
        e->out->found = 1;
        results = rs_require_both(all, results, all ? RS_GRANTED : RS_NEUTRAL);
    }
    return results;
}

static unsigned list(const eval_t *e, const ap_directive_t *at, int all, unsigned results)
{
    for (; at; at = at->next) {
        unsigned next;

        if (rs_tree_is(at, "<Limit") || rs_tree_is(at, "<LimitExcept")) {
            results = limited(e, at, all, results);
            continue;
        }
        if (rs_tree_is(at, "Require")) {
            next = one(e, at);
        }
        else if (rs_tree_is(at, "<RequireAll")) {
            next = list(e, at->first_child, 1, RS_NEUTRAL);
        }
        else if (rs_tree_is(at, "<RequireAny")) {
            next = list(e, at->first_child, 0, RS_NEUTRAL);
        }
        else if (rs_tree_is(at, "<RequireNone")) {
            next = negate(list(e, at->first_child, 0, RS_NEUTRAL));
        }
        else {
            continue;
        }
        e->out->found = e->out->applies = 1;
        results = rs_require_both(all, results, next);
    }
    return results;
}

rs_require_t rs_require_of(apr_pool_t *p, const ap_directive_t *section, const char *method)
{
    rs_require_t out = {0, 0, 0, NULL};
    const eval_t e = {p, method, &out};

    out.stranger = list(&e, section->first_child, 0, RS_NEUTRAL);
    if (out.found && !out.applies) {
        out.stranger = RS_GRANTED; /* all are within a <Limit> of other methods */
    }
    return out;
}
