/* SPDX-License-Identifier: Apache-2.0
 *
 * The sections that hold a directive of ours, noted as httpd reads them. Main thread.
 */
#include "rs_httpd.h"

#include "rs_cmds.h"

static apr_array_header_t *sections; /* rs_section_t */

const apr_array_header_t *rs_conf_sections(void) { return sections; }

int rs_conf_begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    sections = apr_array_make(pconf, 8, sizeof(rs_section_t));
    return OK;
}

static void note_section(cmd_parms *cmd, rs_dir_conf_t *conf)
{
    rs_section_t *section;
    int i;

    /* Most often it is the one of the directive before. */
    for (i = sections->nelts - 1; i >= 0; i--) {
        if (APR_ARRAY_IDX(sections, i, rs_section_t).conf == conf) {
            return;
        }
    }
    section = apr_array_push(sections);
    section->server = cmd->server;
    section->conf = conf;
    section->directive = cmd->directive;
}

/* Every setter of a directory directive calls this first: it remembers the section. Returns NULL,
 * or why the directive may not stand here: within <Limit> it would count for all methods, and
 * AllowOverrideList would let it into .htaccess, which is read in a worker, for a request. */
const char *rs_cmd_enter(cmd_parms *cmd, rs_dir_conf_t *conf)
{
    const char *misplaced = ap_check_cmd_context(cmd, NOT_IN_LIMIT | NOT_IN_HTACCESS);

    if (!misplaced) {
        note_section(cmd, conf);
    }
    return misplaced;
}

const char *rs_cmd_problem(cmd_parms *cmd, const char *problem)
{
    return problem ? apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", problem, NULL) : NULL;
}
