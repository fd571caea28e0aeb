/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the tree of directives. It holds them as they were written, with Include, IfModule,
 * IfDefine and macros already resolved, in the order in which httpd merges sections. Where the
 * outcome depends on a request (<If>) or on rules that are not followed here, the answer is
 * "unsure", never a guess: a false alarm would keep somebody's server from starting. Main thread.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "rs_conf_tree.h"

const char *rs_tree_word(apr_pool_t *p, const ap_directive_t *at)
{
    const char *args = at->args ? at->args : "";

    return ap_getword_conf(p, &args);
}

static int is(const ap_directive_t *at, const char *name)
{
    return !ap_cstr_casecmp(at->directive, name);
}

int rs_tree_begins(const ap_directive_t *at, const char *name)
{
    return !ap_cstr_casecmpn(at->directive, name, strlen(name));
}

const ap_directive_t *rs_tree_around(const ap_directive_t *at, const char *name)
{
    const ap_directive_t *found = NULL;

    for (; at; at = at->parent) {
        found = rs_tree_begins(at, name) ? at : found;
    }
    return found;
}

const ap_directive_t *rs_tree_host(server_rec *s)
{
    return s->defn_name ? rs_tree_at(ap_conftree, "<VirtualHost", s->defn_name, s->defn_line_number)
                        : NULL;
}

const ap_directive_t *rs_tree_at(const ap_directive_t *tree, const char *name, const char *file,
                                 unsigned line)
{
    for (; tree; tree = tree->next) {
        const ap_directive_t *found;

        if ((unsigned)tree->line_num == line && is(tree, name) && !strcmp(tree->filename, file)) {
            return tree;
        }
        found = rs_tree_at(tree->first_child, name, file, line);
        if (found) {
            return found;
        }
    }
    return NULL;
}

const ap_directive_t *rs_tree_find(apr_pool_t *p, const ap_directive_t *tree, const char *name,
                                   const char *arg)
{
    for (; tree; tree = tree->next) {
        const ap_directive_t *found;

        if (is(tree, name) && (!arg || !ap_cstr_casecmp(rs_tree_word(p, tree), arg))) {
            return tree;
        }
        found = rs_tree_find(p, tree->first_child, name, arg);
        if (found) {
            return found;
        }
    }
    return NULL;
}

const char *rs_tree_path(apr_pool_t *p, const ap_directive_t *section, int *regex)
{
    char *args = apr_pstrdup(p, section->args);
    const char *rest = args, *word;
    apr_size_t len = strlen(args);

    while (len > 0 && (args[len - 1] == '>' || apr_isspace(args[len - 1]))) {
        args[--len] = '\0';
    }
    word = ap_getword_conf(p, &rest);
    *regex = !strcmp(word, "~") || is(section, "<LocationMatch") || is(section, "<DirectoryMatch");
    return !strcmp(word, "~") ? ap_getword_conf(p, &rest) : word;
}

static int has_alternatives(const char *regex)
{
    int depth = 0;

    for (; *regex && !(*regex == '|' && depth == 0); regex++) {
        depth += (*regex == '(') - (*regex == ')');
    }
    return *regex != '\0';
}

/* How much of the pattern every URL of it begins with. */
static apr_size_t fixed_part(const char *pattern, int regex)
{
    apr_size_t len;

    if (!regex) {
        return strcspn(pattern, "*?[\\");
    }
    if (*pattern != '^' || has_alternatives(pattern)) {
        return 0;
    }
    len = strcspn(pattern + 1, "\\.[(*+?{|$");
    /* "/ab*" begins with "/a" */
    return len > 0 && pattern[1 + len] && strchr("*?{", pattern[1 + len]) ? len - 1 : len;
}

int rs_tree_reaches(const char *path, const char *pattern, int regex)
{
    apr_size_t fixed = fixed_part(pattern, regex), len = strlen(path);
    const char *begin = pattern + (regex ? 1 : 0);

    if (len > 0 && path[len - 1] == '/') {
        len--; /* what follows it is compared with a slash below */
    }
    if (len == 0) {
        return 1;
    }
    if (strncmp(path, begin, len < fixed ? len : fixed) != 0) {
        return 0;
    }
    return len < fixed ? begin[len] == '/' : -1;
}

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
        return is(section, "<Directory") ? -1 : !apr_fnmatch(of, path, APR_FNM_PATHNAME);
    }
    len = strlen(of);
    if (is(section, "<Directory")) {
        while (len > 1 && of[len - 1] == '/' && path[len - 1] != '/') {
            len--;
        }
    }
    return !strncmp(of, path, len)
           && (len == 0 || of[len - 1] == '/' || path[len] == '/' || path[len] == '\0');
}

/* --- who may come in --- */

/* Of what a guard is unsure, until a section says it for certain. */
enum { UNSURE_TYPE = 1, UNSURE_REQUIRE = 2, UNSURE_FOR_GOOD = 4 };

static int is_one_of(const ap_directive_t *at, const char *const *names)
{
    for (; *names; names++) {
        if (is(at, *names)) {
            return 1;
        }
    }
    return 0;
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
    }
    else if (require.found || (off && merging)) {
        guard->stranger = require.stranger;
        guard->asks = require.asks;
        guard->require = require.found ? section : NULL;
        guard->unsure &= off ? ~UNSURE_REQUIRE : ~0;
    }
}

/* The settings of one section, on top of what outer ones said. */
static void add_section(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *section,
                        const rs_place_t *place)
{
    static const char *const old[] = {"Satisfy", "Allow", "Deny", "Order", NULL};
    const ap_directive_t *at;
    const char *merging = NULL;
    int unsure = 0;

    for (at = section->first_child; at; at = at->next) {
        if (is(at, "AuthType")) {
            guard->auth_type = at;
            guard->ours = !ap_cstr_casecmp(rs_tree_word(p, at), "RaglineJWT");
            guard->unsure &= ~UNSURE_TYPE;
            guard->unsure |= strchr(at->args, '%') ? UNSURE_TYPE : 0;
        }
        else if (is(at, "AuthMerging")) {
            merging = rs_tree_word(p, at);
        }
        else if (is_one_of(at, old)) {
            guard->unsure |= UNSURE_FOR_GOOD;
        }
        else if (is_condition(p, at, place)
                 || (rs_tree_begins(at, "<Files") && speaks_of_access(p, at->first_child))) {
            unsure = UNSURE_FOR_GOOD;
        }
    }
    add_require(p, guard, section, place, merging);
    guard->unsure |= unsure;
}

static void add_level(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *level,
                      const rs_place_t *place)
{
    for (; level; level = level->next) {
        int reached;

        if (!rs_tree_begins(level, place->kind)) {
            guard->unsure |= is_condition(p, level, place) ? UNSURE_FOR_GOOD : 0;
            continue;
        }
        reached = covers(p, level, place);
        if (reached > 0) {
            add_section(p, guard, level, place);
        }
        else if (reached < 0 && speaks_of_access(p, level->first_child)) {
            guard->unsure |= UNSURE_TYPE | UNSURE_REQUIRE;
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
    guard.unsure |= s != main_server && !host;
    return guard;
}
