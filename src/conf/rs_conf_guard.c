/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may come in to a place, by AuthType and Require of the sections around it, in the order in
 * which httpd merges them. Main thread, check_config.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "rs_conf_tree.h"

/* Whether settings of the section reach the place. -1: that cannot be said. */
static int covers(apr_pool_t *p, const ap_directive_t *section, const rs_place_t *place)
{
    const ap_directive_t *own = rs_tree_around(place->section, "<Location");
    const char *path = place->path, *of, *pattern;
    apr_size_t len;
    ap_regex_t *compiled;
    int regex, own_regex;

    of = rs_tree_path(p, section, &regex);
    if (!path && own) {
        pattern = rs_tree_path(p, own, &own_regex);
        if (regex == own_regex && !strcmp(of, pattern)) {
            return 1;
        }
        return regex || apr_fnmatch_test(of) ? -1 : rs_tree_reaches(of, pattern, own_regex);
    }
    if (!path) {
        return strcmp(of, "/") ? -1 : 1;
    }
    if (regex) {
        compiled = ap_pregcomp(p, of, AP_REG_EXTENDED);
        return compiled ? ap_regexec(compiled, path, 0, NULL, 0) == 0 : -1;
    }
    if (apr_fnmatch_test(of)) {
        /* httpd matches a <Directory> level by level. */
        return rs_tree_is(section, "<Directory") ? -1 : !apr_fnmatch(of, path, APR_FNM_PATHNAME);
    }
    len = strlen(of);
    if (rs_tree_is(section, "<Directory")) {
        while (len > 1 && of[len - 1] == '/' && path[len - 1] != '/') {
            len--;
        }
    }
    return !strncmp(of, path, len)
           && (len == 0 || of[len - 1] == '/' || path[len] == '/' || path[len] == '\0');
}

/* --- who may come in --- */

static int says_all(apr_pool_t *p, const ap_directive_t *at)
{
    const char *args = at->args ? at->args : "";

    while (*args) {
        if (!ap_cstr_casecmp(ap_getword_conf(p, &args), "all")) {
            return 1;
        }
    }
    return 0;
}

/* Allow, Deny, Order and Satisfy of one section, which replace those of all before. */
static void add_old(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *section)
{
    int found = 0, narrows = 0, allows = 0, closed = 0, enough = 0;
    const ap_directive_t *at;

    for (at = section->first_child; at; at = at->next) {
        int access = rs_tree_is(at, "Allow") || rs_tree_is(at, "Deny") || rs_tree_is(at, "Order");

        found |= access || rs_tree_is(at, "Satisfy");
        enough |= rs_tree_is(at, "Satisfy") && !ap_cstr_casecmp(rs_tree_word(p, at), "Any");
        narrows |= rs_tree_is(at, "Deny") || (rs_tree_is(at, "Allow") && !says_all(p, at));
        allows |= rs_tree_is(at, "Allow") && says_all(p, at);
        closed |= rs_tree_is(at, "Order") && ap_cstr_casecmpn(rs_tree_word(p, at), "deny", 4);
    }
    if (found) {
        guard->unsure |= RS_UNSURE_OLD;
        guard->old_narrows = narrows || (closed && !allows);
        guard->old_is_enough = enough;
    }
}

static int speaks_of_access(apr_pool_t *p, const ap_directive_t *in)
{
    return rs_tree_find(p, in, "AuthType", NULL) || rs_tree_find(p, in, "Require", NULL)
           || rs_tree_find(p, in, "AuthMerging", NULL);
}

static int is_within(const ap_directive_t *at, const ap_directive_t *section)
{
    while (at && at != section) {
        at = at->parent;
    }
    return at != NULL;
}

/* An <If> that speaks of access, unless it is the one in which the handler stands. */
static int is_condition(apr_pool_t *p, const ap_directive_t *at, const rs_place_t *place)
{
    return (rs_tree_begins(at, "<If") || rs_tree_begins(at, "<Else"))
           && !is_within(place->section, at) && speaks_of_access(p, at->first_child);
}

/* The Require that only a user can meet, if the section that replaces it lets in whoever brings
 * nothing, and is not there for a part of what the other one guards: then it comes too late in the
 * files. */
static const ap_directive_t *undone_by(apr_pool_t *p, const rs_guard_t *guard,
                                       const ap_directive_t *section, const rs_require_t *require,
                                       const rs_place_t *place)
{
    const char *path, *before;
    int pattern, before_pattern;

    if (!guard->asks || !(guard->stranger & RS_NO_USER) || require->stranger & RS_NO_USER
        || !(require->stranger & RS_GRANTED) || !rs_tree_begins(section, place->kind)
        || !rs_tree_begins(guard->require, place->kind)) {
        return NULL;
    }
    path = rs_tree_path(p, section, &pattern);
    before = rs_tree_path(p, guard->require, &before_pattern);
    if (pattern || apr_fnmatch_test(path)) {
        return place->path && !strcmp(before, place->path) ? guard->asks : NULL;
    }
    return strlen(path) <= strlen(before) ? guard->asks : NULL;
}

/* AuthMerging Off, the default: the innermost section that has any Require replaces the others. */
static void add_require(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *section,
                        const rs_place_t *place, const char *merging)
{
    rs_require_t require = rs_require_of(p, section, place->method);
    int off = !merging || !ap_cstr_casecmp(merging, "Off");

    if (require.found && !off && guard->require) {
        int all = !ap_cstr_casecmp(merging, "And");

        guard->stranger = rs_require_both(all, rs_require_both(all, RS_NEUTRAL, guard->stranger),
                                          require.stranger);
        guard->asks = require.asks ? require.asks : guard->asks;
        guard->require = section;
        guard->applies |= require.applies;
    }
    else if (require.found || (off && merging)) {
        guard->undone = require.found ? undone_by(p, guard, section, &require, place) : NULL;
        guard->stranger = require.stranger;
        guard->asks = require.asks;
        guard->require = require.found ? section : NULL;
        guard->applies = require.applies;
        guard->unsure &= off ? ~RS_UNSURE_REQUIRE : ~0;
    }
}

/* The settings of one section, on top of what outer ones said. */
static void add_section(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *section,
                        const rs_place_t *place)
{
    const ap_directive_t *at;
    const char *merging = NULL;
    int unsure = 0;

    for (at = section->first_child; at; at = at->next) {
        if (rs_tree_is(at, "AuthType")) {
            guard->auth_type = at;
            guard->ours = !ap_cstr_casecmp(rs_tree_word(p, at), "RaglineJWT");
            guard->unsure &= ~RS_UNSURE_TYPE;
            guard->unsure |= strchr(at->args, '%') ? RS_UNSURE_TYPE : 0;
        }
        else if (rs_tree_is(at, "AuthMerging")) {
            merging = rs_tree_word(p, at);
        }
        else if (is_condition(p, at, place)
                 || (rs_tree_begins(at, "<Files") && speaks_of_access(p, at->first_child))) {
            unsure = RS_UNSURE_FOR_GOOD;
        }
    }
    add_require(p, guard, section, place, merging);
    add_old(p, guard, section);
    guard->unsure |= unsure;
}

static void add_level(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *level,
                      const rs_place_t *place)
{
    for (; level; level = level->next) {
        int reached;

        if (!rs_tree_begins(level, place->kind)) {
            guard->unsure |= is_condition(p, level, place) ? RS_UNSURE_FOR_GOOD : 0;
            continue;
        }
        reached = covers(p, level, place);
        if (reached > 0) {
            add_section(p, guard, level, place);
        }
        else if (reached < 0 && speaks_of_access(p, level->first_child)) {
            guard->unsure |= RS_UNSURE_TYPE | RS_UNSURE_REQUIRE;
        }
    }
}

/* The <If> around the handler, from outside in: httpd merges them after all <Location>. */
static void add_conditions(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *at,
                           const rs_place_t *place)
{
    if (at && (rs_tree_begins(at, "<If") || rs_tree_begins(at, "<Else"))) {
        add_conditions(p, guard, at->parent, place);
        add_section(p, guard, at, place);
    }
}

rs_guard_t rs_tree_guard(apr_pool_t *p, server_rec *main_server, server_rec *s,
                         const rs_place_t *place)
{
    const ap_directive_t *host = s == main_server ? NULL : rs_tree_host(s);
    rs_guard_t guard;

    memset(&guard, 0, sizeof(guard));
    add_level(p, &guard, ap_conftree, place);
    if (host) {
        add_level(p, &guard, host->first_child, place);
    }
    add_conditions(p, &guard, place->section, place);
    guard.unsure |= s != main_server && !host ? RS_UNSURE_FOR_GOOD : 0;
    return guard;
}
