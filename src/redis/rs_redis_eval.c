/* SPDX-License-Identifier: Apache-2.0
 *
 * EVAL. These scripts are a line or two: their text costs less than asking whether Redis has it.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_redis_eval.h"

void rs_eval_arg(rs_eval_t *eval, const char *data, apr_size_t len)
{
    if (eval->n < RS_EVAL_WORDS_MAX) {
        eval->words[eval->n] = data;
        eval->lens[eval->n++] = len;
    }
}

void rs_eval_key(rs_eval_t *eval, const char *key)
{
    rs_eval_arg(eval, key, strlen(key));
    eval->nkeys++;
}

apr_status_t rs_eval(rs_redis_conn_t *conn, struct redisReply **reply, const char *script,
                     const rs_eval_t *eval)
{
    const char *words[3 + RS_EVAL_WORDS_MAX] = {"EVAL", script};
    apr_size_t lens[3 + RS_EVAL_WORDS_MAX] = {4, strlen(script)};
    char nkeys[12];

    apr_snprintf(nkeys, sizeof(nkeys), "%d", eval->nkeys);
    words[2] = nkeys;
    lens[2] = strlen(nkeys);
    memcpy(words + 3, eval->words, (size_t)eval->n * sizeof(*words));
    memcpy(lens + 3, eval->lens, (size_t)eval->n * sizeof(*lens));
    return rs_redis_conn_command(conn, reply, 3 + eval->n, words, lens);
}
