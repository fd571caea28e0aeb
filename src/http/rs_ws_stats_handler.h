/* SPDX-License-Identifier: Apache-2.0
 *
 * SetHandler ragline-ws-stats. The worker.
 */
#ifndef RS_WS_STATS_HANDLER_H
#define RS_WS_STATS_HANDLER_H

#include "../conf/rs_httpd.h"

int rs_ws_stats_handler(request_rec *r);

#endif
