/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the tree of directives. It holds them as they were written, with Include, IfModule,
 * IfDefine and macros already resolved, in the order in which httpd merges sections. Where the
 * outcome depends on a request (<If>) or on rules that are not followed here, the answer is
 * "unsure", never a guess: a false alarm would keep somebody's server from starting. Main thread.
 */
#include "rs_httpd.h"

#include "rs_conf_tree.h"

const char *rs_tree_word(apr_pool_t *p, const ap_directive_t *at)
{
    const char *args = at->args ? at->args : "";

    return ap_getword_conf(p, &args);
}

int rs_tree_is(const ap_directive_t *at, const char *name)
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

        if ((unsigned)tree->line_num == line && rs_tree_is(tree, name)
            && !strcmp(tree->filename, file)) {
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

        if (rs_tree_is(tree, name) && (!arg || !ap_cstr_casecmp(rs_tree_word(p, tree), arg))) {
            return tree;
        }
        found = rs_tree_find(p, tree->first_child, name, arg);
        if (found) {
            return found;
        }
    }
    return NULL;
}

const ap_directive_t *rs_tree_last(const ap_directive_t *tree, const char *name)
{
    const ap_directive_t *found = NULL, *inside;

    for (; tree; tree = tree->next) {
        inside = rs_tree_last(tree->first_child, name);
        found = inside ? inside : rs_tree_is(tree, name) ? tree : found;
    }
    return found;
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
    *regex = !strcmp(word, "~") || rs_tree_is(section, "<LocationMatch")
             || rs_tree_is(section, "<DirectoryMatch");
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
