/* SPDX-License-Identifier: Apache-2.0
 *
 * Handler ragline-stats: what all children of this server count, as JSON. A stream that is silent
 * shows why: nothing read, or read and skipped (with the reason), or nobody there. The worker.
 */
#ifndef RS_STATS_PAGE_H
#define RS_STATS_PAGE_H

#include "../conf/rs_httpd.h"

int rs_stats_page(request_rec *r);

#endif
