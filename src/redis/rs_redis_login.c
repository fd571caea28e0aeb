/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said to every Redis first, and the words in which it refuses. Any thread.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "rs_redis_login.h"

void rs_redis_error_class(char out[RS_REDIS_CLASS_LEN], const redisReply *reply)
{
    size_t n = 0;

    if (reply && reply->type == REDIS_REPLY_ERROR && reply->str) {
        while (n < reply->len && n < RS_REDIS_CLASS_LEN - 1
               && ((reply->str[n] >= 'A' && reply->str[n] <= 'Z') || reply->str[n] == '_')) {
            out[n] = reply->str[n];
            n++;
        }
        if (n < reply->len && reply->str[n] != ' ') {
            n = 0; /* not a word in capitals, or a longer one than Redis has */
        }
    }
    if (n == 0) {
        memcpy(out, "ERR", 3);
        n = 3;
    }
    out[n] = '\0';
}

int rs_redis_login_append(redisContext *c, const rs_redis_url_t *url, const char *name)
{
    const char *auth[3] = {"AUTH", NULL, NULL}, *select[2] = {"SELECT", NULL};
    const char *setname[3] = {"CLIENT", "SETNAME", name};
    char db[16];
    int n = 0;

    if (url->password) {
        auth[1] = url->user ? url->user : url->password;
        auth[2] = url->password;
        if (redisAppendCommandArgv(c, url->user ? 3 : 2, auth, NULL) != REDIS_OK) {
            return -1;
        }
        n++;
    }
    if (url->db) {
        apr_snprintf(db, sizeof(db), "%d", url->db);
        select[1] = db;
        if (redisAppendCommandArgv(c, 2, select, NULL) != REDIS_OK) {
            return -1;
        }
        n++;
    }
    return redisAppendCommandArgv(c, 3, setname, NULL) == REDIS_OK ? n + 1 : -1;
}

int rs_redis_is_full(const redisReply *reply)
{
    static const char full[] = "ERR max number of clients";

    return reply->len >= sizeof(full) - 1 && strncmp(reply->str, full, sizeof(full) - 1) == 0;
}

int rs_redis_setname_may_fail(const redisReply *reply)
{
    char class[RS_REDIS_CLASS_LEN];

    rs_redis_error_class(class, reply);
    return strcmp(class, "NOPERM") == 0 || (strcmp(class, "ERR") == 0 && !rs_redis_is_full(reply));
}
