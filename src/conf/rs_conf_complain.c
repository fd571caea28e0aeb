/* SPDX-License-Identifier: Apache-2.0
 *
 * How what is wrong in the configuration is said. Main thread, check_config.
 */
#include "rs_httpd.h"

#include "rs_conf_check.h"

static int problems;

void rs_check_begin(void) { problems = 0; }

int rs_check_problems(void) { return problems; }

void rs_check_complain(server_rec *s, const ap_directive_t *at, const char *sentence)
{
    problems++;
    if (at) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "RS0601: %s line %d: %s", at->filename,
                     at->line_num, sentence);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "RS0602: %s", sentence);
    }
}

int rs_check_quiet(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_NORMAL
           && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

void rs_check_warn(server_rec *s, const ap_directive_t *at, const char *sentence)
{
    if (rs_check_quiet()) {
        return;
    }
    if (at) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "RS0603: %s line %d: %s", at->filename,
                     at->line_num, sentence);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "RS0604: %s", sentence);
    }
}
