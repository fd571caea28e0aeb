/* SPDX-License-Identifier: Apache-2.0
 *
 * httpd's headers, of which most need httpd.h before them, and the module's own log index. First
 * in every file of the glue; the core never sees it.
 */
#ifndef RS_HTTPD_H
#define RS_HTTPD_H

#include <httpd.h>
#include <http_config.h>

/* The module's own file declares it by AP_DECLARE_MODULE. */
#ifndef RS_DECLARES_MODULE
APLOG_USE_MODULE(ragline_stream);
#endif

#include <apr_lib.h>
#include <apr_strings.h>
#include <ap_expr.h>
#include <ap_mpm.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <scoreboard.h>
#include <util_filter.h>

extern module AP_MODULE_DECLARE_DATA ragline_stream_module;

#endif
