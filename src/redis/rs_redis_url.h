/* SPDX-License-Identifier: Apache-2.0
 *
 * The address of a Redis server, as an administrator writes it. Parsed while httpd reads its
 * configuration; constant afterwards, except that a password kept outside the URL may be filled
 * in before the first connection. Nothing here connects to anything.
 *
 *     redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]       rediss:// is the same over TLS
 *     unix://[[USER]:PASSWORD@]/PATH[?db=DB]
 */
#ifndef RS_REDIS_URL_H
#define RS_REDIS_URL_H

#include "../base/rs_base.h"

#define RS_REDIS_PORT 6379
#define RS_REDIS_DB_MAX 9999

typedef struct rs_redis_url_t {
    int tls;
    const char *host; /* a name or an address without brackets; NULL for a socket file */
    int port;
    const char *path; /* of the socket file; NULL for a host */
    int db;
    const char *user;     /* NULL: Redis's default user */
    const char *password; /* NULL: no AUTH */
    const char *label;    /* for people, without user and password: redis://HOST:PORT/DB or
                             unix:///PATH?db=DB. Equal labels are the same server and database. */
} rs_redis_url_t;

/* NULL, or a sentence that says what to write instead. The sentence quotes nothing of `text`:
 * there may be a password anywhere in a URL that is wrong. */
const char *rs_redis_url_parse(rs_redis_url_t **url, apr_pool_t *p, const char *text);

#endif
