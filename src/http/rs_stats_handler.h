/* SPDX-License-Identifier: Apache-2.0
 *
 * Handler ragline-stats. The worker.
 */
#ifndef RS_STATS_HANDLER_H
#define RS_STATS_HANDLER_H

#include "../conf/rs_httpd.h"

int rs_stats_handler(request_rec *r);

#endif
