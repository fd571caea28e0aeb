/* SPDX-License-Identifier: Apache-2.0
 *
 * A page of the list of open connections, of all children, as text. Any thread.
 */
#ifndef RS_CONNECTIONS_H
#define RS_CONNECTIONS_H

#include "../base/rs_buf.h"
#include "../log/rs_registry.h"

/* Appends those that are wanted, at most `limit`, from `at` on (0: from the first), as JSON. */
void rs_connections_json(rs_buf_t *b, rs_registry_t *registry, const rs_whom_t *whom,
                         apr_uint64_t at, int limit);

/* The same for people. close: the URL that ends a connection, to which `id` is posted; NULL: there
 * is none. more: what the link to the next page begins with, up to the id. nonce: for the script's
 * sake. Texts of the caller's must be fit for HTML. */
typedef struct {
    const char *close, *more, *nonce;
} rs_connections_links_t;

void rs_connections_html(rs_buf_t *b, rs_registry_t *registry, const rs_whom_t *whom,
                         apr_uint64_t at, int limit, const rs_connections_links_t *links);

#endif
