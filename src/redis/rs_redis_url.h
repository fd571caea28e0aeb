/* SPDX-License-Identifier: Apache-2.0
 *
 * The address of a Redis server, as an administrator writes it. Parsed while httpd reads its
 * configuration; constant afterwards, except that a password kept outside the URL may be filled
 * in before the first connection. Nothing here connects to anything.
 *
 *     redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]       rediss:// is the same over TLS
 *     unix://[[USER]:PASSWORD@]/PATH[?db=DB]
 *
 * or of several sentinels, which know the address of the server, followed by master=NAME.
 */
#ifndef RS_REDIS_URL_H
#define RS_REDIS_URL_H

#include <pthread.h>

#include "../base/rs_base.h"

#define RS_REDIS_PORT 6379
#define RS_REDIS_SENTINEL_PORT 26379
#define RS_REDIS_DB_MAX 9999
#define RS_REDIS_HOST_MAX 253
#define RS_REDIS_SENTINELS_MAX 16

#define RS_REDIS_LABEL_MAX (RS_REDIS_HOST_MAX + 9) /* [HOST]:PORT and the NUL */

/* What the threads of a process know of the sentinels of a URL; see rs_sentinel.h. */
typedef struct {
    int turn;          /* atomic: which of them is asked next */
    apr_uint32_t word; /* atomic: changes when they name another master; 0: none yet */
    pthread_mutex_t lock;
    char master[RS_REDIS_LABEL_MAX]; /* lock: HOST:PORT that they named last */
    apr_time_t since;                /* lock: when they did; 0: it is the first one */
} rs_sentinels_t;

typedef struct rs_redis_url_t {
    int tls;
    const char *host; /* a name or an address without brackets; NULL for a socket file or master */
    int port;
    const char *path; /* of the socket file; NULL for a host */
    int db;
    const char *user;     /* NULL: Redis's default user */
    const char *password; /* NULL: no AUTH */
    const char *label;    /* for people, without user and password: redis://HOST:PORT/DB,
                             unix:///PATH?db=DB or redis://NAME/DB@HOST:PORT,HOST:PORT. Equal
                             labels are the same server and database. */

    const char *master; /* what the sentinels call it; NULL: `host` or `path` is the server */
    struct rs_redis_url_t *sentinels; /* in the order of their names; database 0 */
    int nsentinels;
    rs_sentinels_t *known;
} rs_redis_url_t;

/* NULL, or a sentence that says what to write instead. The sentence quotes nothing of `text`:
 * there may be a password anywhere in a URL that is wrong. */
const char *rs_redis_url_parse(rs_redis_url_t **url, apr_pool_t *p, const char *text);

/* The same for all words of RaglineRedis: one URL, or those of sentinels and master=NAME. */
const char *rs_redis_urls_parse(rs_redis_url_t **url, apr_pool_t *p, int n,
                                const char *const *words);

/* Whether both are the same server, database and login, asked of the same sentinels. */
int rs_redis_url_same(const rs_redis_url_t *a, const rs_redis_url_t *b);

/* An address as a sentinel tells it: a name or an IP address, and a port. `host` has room for
 * RS_REDIS_HOST_MAX and its NUL. Returns the port, or 0 if it is neither. */
int rs_redis_address_parse(char *host, const char *name, size_t name_len, const char *port,
                           size_t port_len);

#endif
