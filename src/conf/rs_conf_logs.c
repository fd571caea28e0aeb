/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens in the query, and who writes requests down: httpd's own access logs get none
 * (http/rs_token_hide.c); modules that write requests as they come are warned about. Main thread.
 */
#include "rs_httpd.h"

#include "rs_conf_check.h"
#include "rs_conf_tree.h"

static apr_array_header_t *names; /* const char * */

const apr_array_header_t *rs_conf_query_tokens(void) { return names; }

static void add_name(const char *name)
{
    int i;

    for (i = 0; i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return;
        }
    }
    APR_ARRAY_PUSH(names, const char *) = name;
}

/* From which trace level on httpd writes request lines, or headers (http, also of its answers). */
static int writes_from(apr_pool_t *p, const char *of)
{
    static const struct {
        const char *module;
        int trace;
    } writers[] = {{"core", 5}, {"http", 4}, {"http2", 3}, {"rewrite", 1}, {"ssl", 7}};
    char *name = apr_pstrdup(p, !strncmp(of, "mod_", 4) ? of + 4 : of);
    char *end = ap_strstr(name, "_module");
    apr_size_t k;

    end = end ? end : ap_strstr(name, ".c");
    if (end) {
        *end = '\0';
    }
    for (k = 0; k < RS_ARRAY_LEN(writers); k++) {
        if (!ap_cstr_casecmp(name, writers[k].module)) {
            return writers[k].trace;
        }
    }
    return 9;
}

/* Whether a word of LogLevel, LEVEL or MODULE:LEVEL, has requests written. all: from which trace
 * level on one for all modules does, in the hosts as they are in the end. */
static int is_telling(apr_pool_t *p, char *word, int all)
{
    char *colon = strchr(word, ':'), *level = colon ? colon + 1 : word;
    int from = all;

    if (ap_cstr_casecmpn(level, "trace", 5) || !apr_isdigit(level[5])) {
        return 0;
    }
    if (colon) {
        *colon = '\0';
        from = writes_from(p, word);
    }
    return level[5] - '0' >= from;
}

static const ap_directive_t *telling(apr_pool_t *p, const ap_directive_t *tree, int all)
{
    const ap_directive_t *found = NULL;

    for (; tree && !found; tree = tree->next) {
        const char *args = tree->args;

        found = telling(p, tree->first_child, all);
        while (!found && args && *args && !ap_cstr_casecmp(tree->directive, "LogLevel")) {
            found = is_telling(p, ap_getword_conf(p, &args), all) ? tree : NULL;
        }
    }
    return found;
}

static void check_levels(apr_pool_t *p, server_rec *main_server)
{
    const server_rec *s;
    const ap_directive_t *at;
    int level = APLOG_EMERG, all;

    for (s = main_server; s; s = s->next) {
        level = s->log.level > level ? s->log.level : level;
    }
    all = rs_tree_find(p, ap_conftree, "RewriteEngine", "On") ? 1 : 3;
    at = telling(p, ap_conftree, level >= APLOG_DEBUG + all ? all : 9);
    if (at) {
        rs_check_warn(main_server, at,
                      "LogLevel: from trace3 on (mod_rewrite: trace1) httpd itself writes whole "
                      "requests into the error log, with the tokens that RaglineTokenFrom query: "
                      "takes: write debug or less");
    }
}

void rs_check_logs(apr_pool_t *pconf, server_rec *main_server)
{
    static const struct {
        const char *directive, *arg, *sentence;
    } loggers[] = {
        {"ForensicLog", NULL,
         "ForensicLog writes whole requests, with their tokens, before any module can take them "
         "out: leave it out, or keep the log as secret as the tokens"},
        {"DumpIOInput", "On",
         "DumpIOInput writes whole requests, with their tokens, before any module can take them "
         "out: leave it out"},
    };
    const apr_array_header_t *all = rs_conf_sections();
    apr_size_t k;
    int i, j;

    names = apr_array_make(pconf, 2, sizeof(const char *));
    for (i = 0; i < all->nelts; i++) {
        const apr_array_header_t *from = APR_ARRAY_IDX(all, i, rs_section_t).conf->token_from;

        for (j = 0; from && j < from->nelts; j++) {
            const rs_token_from_t *where = &APR_ARRAY_IDX(from, j, rs_token_from_t);

            if (where->from == RS_TOKEN_QUERY) {
                add_name(where->name);
            }
        }
    }
    if (names->nelts == 0) {
        return;
    }
    for (k = 0; k < RS_ARRAY_LEN(loggers); k++) {
        const ap_directive_t *at =
            rs_tree_find(pconf, ap_conftree, loggers[k].directive, loggers[k].arg);

        if (at) {
            rs_check_warn(main_server, at, loggers[k].sentence);
        }
    }
    check_levels(pconf, main_server);
}
