/* SPDX-License-Identifier: Apache-2.0
 *
 * %{ragline_query:NAME} in httpd's expressions: a parameter of the request's query, decoded. The
 * worker.
 */
#ifndef RS_QUERY_H
#define RS_QUERY_H

#include "../conf/rs_httpd.h"

void rs_query_hooks(apr_pool_t *p);

#endif
