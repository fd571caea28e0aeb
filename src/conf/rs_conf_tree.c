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

/* The argument of <Location "/a b">, and whether it is a pattern. */
static const char *section_path(apr_pool_t *p, const ap_directive_t *section, int *regex)
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

/* Whether settings of the section reach the path. -1: that cannot be said. */
static int covers(apr_pool_t *p, const ap_directive_t *section, const char *path)
{
    apr_size_t len;
    ap_regex_t *pattern;
    const char *of;
    int regex;

    of = section_path(p, section, &regex);
    if (regex) {
        pattern = ap_pregcomp(p, of, AP_REG_EXTENDED);
        return pattern ? ap_regexec(pattern, path, 0, NULL, 0) == 0 : -1;
    }
    if (apr_fnmatch_test(of)) {
        /* httpd matches a <Directory> level by level. */
        return is(section, "<Directory") ? -1 : !apr_fnmatch(of, path, APR_FNM_PATHNAME);
    }
    len = strlen(of);
    while (len > 1 && of[len - 1] == '/' && path[len - 1] != '/') {
        len--;
    }
    return !strncmp(of, path, len)
           && (len == 0 || of[len - 1] == '/' || path[len] == '/' || path[len] == '\0');
}

/* Whether this Require (the whole tree below `at`) can only be met by a user. */
static int asks_user(apr_pool_t *p, const ap_directive_t *at, int *unsure)
{
    static const char *const without[] = {"all",   "ip",  "host",   "forward-dns",
                                          "local", "env", "method", NULL};
    const char *args = at->args, *word;
    const ap_directive_t *child;
    int i, any = 0;

    for (child = at->first_child; child; child = child->next) {
        any |= asks_user(p, child, unsure);
    }
    if (!is(at, "Require")) {
        return any;
    }
    word = ap_getword_conf(p, &args);
    if (!ap_cstr_casecmp(word, "not")) {
        word = ap_getword_conf(p, &args);
    }
    for (i = 0; without[i]; i++) {
        if (!ap_cstr_casecmp(word, without[i])) {
            return 0;
        }
    }
    if (!ap_cstr_casecmp(word, "expr")) {
        *unsure = 1; /* it may ask for the user, or not */
    }
    return 1;
}

static int is_one_of(const ap_directive_t *at, const char *const *names)
{
    for (; *names; names++) {
        if (is(at, *names)) {
            return 1;
        }
    }
    return 0;
}

/* The settings of one section, on top of what outer ones said. */
static void add_section(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *section)
{
    static const char *const requires[] = {"Require", "<RequireAll", "<RequireAny", "<RequireNone",
                                           NULL};
    static const char *const unclear[] = {"AuthMerging", "Satisfy", "Allow", "Deny", "Order", NULL};
    static const char *const conditions[] = {"<If",          "<ElseIf", "<Else",       "<Limit",
                                             "<LimitExcept", "<Files",  "<FilesMatch", NULL};
    const ap_directive_t *at;
    int any = 0;

    for (at = section->first_child; at; at = at->next) {
        if (is(at, "AuthType")) {
            guard->auth_type = at;
            guard->ours = !ap_cstr_casecmp(rs_tree_word(p, at), "RaglineJWT");
            guard->unsure |= strchr(at->args, '%') != NULL;
        }
        else if (is_one_of(at, requires)) {
            /* AuthMerging Off: the innermost section that has any replaces the others. */
            guard->asks_user =
                (guard->require == section && guard->asks_user) | asks_user(p, at, &guard->unsure);
            guard->require = section;
        }
        else if (is_one_of(at, unclear)) {
            guard->unsure = 1;
        }
        else if (is_one_of(at, conditions)) {
            any |= rs_tree_find(p, at->first_child, "AuthType", NULL) != NULL
                   || rs_tree_find(p, at->first_child, "Require", NULL) != NULL;
        }
    }
    guard->unsure |= any;
}

static void add_level(apr_pool_t *p, rs_guard_t *guard, const ap_directive_t *level,
                      const char *kind, const char *path)
{
    for (; level; level = level->next) {
        int reached;

        if (ap_cstr_casecmpn(level->directive, kind, strlen(kind))) {
            continue;
        }
        reached = covers(p, level, path);
        if (reached > 0) {
            add_section(p, guard, level);
        }
        else if (reached < 0) {
            guard->unsure = 1;
        }
    }
}

rs_guard_t rs_tree_guard(apr_pool_t *p, server_rec *main_server, server_rec *s, const char *kind,
                         const char *path)
{
    const ap_directive_t *host = s == main_server ? NULL
                                                  : rs_tree_at(ap_conftree, "<VirtualHost",
                                                               s->defn_name, s->defn_line_number);
    rs_guard_t guard;

    memset(&guard, 0, sizeof(guard));
    add_level(p, &guard, ap_conftree, kind, path);
    if (host) {
        add_level(p, &guard, host->first_child, kind, path);
    }
    guard.unsure |= s != main_server && !host;
    return guard;
}
