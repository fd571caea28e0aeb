/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens in the query are for no log: not where they count, and not where a request fails before
 * anybody knows what it is for, or goes to another location. The worker.
 */
#ifndef RS_TOKEN_HIDE_H
#define RS_TOKEN_HIDE_H

#include "../conf/rs_httpd.h"

/* The length of `NAME=` at s, whose name may be percent-encoded; 0: it is another parameter. */
apr_size_t rs_token_parameter(const char *s, const char *name);

/* Takes what RaglineTokenFrom calls a token, in whatever section, out of the query and of the
 * request line. */
void rs_token_hide(request_rec *r);

void rs_token_hide_hooks(apr_pool_t *p);

#endif
