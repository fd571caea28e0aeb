/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing an event once however often it is published: XADD and the note that it was done are
 * one script, so that neither can be without the other, be it that we or Redis die. So is what
 * keeps a stream in bounds and XADD cannot do by itself. A worker thread.
 *
 * One script takes all events of a request: within MULTI a script that Redis does not know yet
 * would fail after other commands were written.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../proto/rs_own_keys.h"
#include "rs_redis_publish_private.h"
#include "rs_stream_keep.h"

/* How long an event_id is remembered, in seconds. */
#define REMEMBER "86400"

/* KEYS: of each event the stream and the event_key, which is the stream again if it has none.
 * ARGV: how long to remember; of each event the lowest id to keep and for how many milliseconds the
 * key is to live ("": forever), how many arguments XADD has, and they.
 * First all notes are looked at, and if one is bad nothing is written. SET NX leaves a note that is
 * there alone, but it is a write, so that no replica answers; where there is none it tries out
 * (empty, for a second) whether there may be one. An empty note counts as none.
 * A key with consumer groups does not end: what waits in one would be lost with it. Behind the
 * answers of all events is what could not be done besides, or "". */
static const char script[] =
    "local out, known, bad, at, failed = {}, {}, false, 2, ''\n"
    RS_STREAM_KEEP
    "for i = 1, #KEYS, 2 do\n"
    "  local note, said = KEYS[i + 1], false\n"
    "  if note ~= KEYS[i] and not known[note] then\n"
    "    local try = redis.pcall('SET', note, '', 'EX', 1, 'NX')\n"
    "    said = type(try) == 'table' and try.err and try or redis.pcall('GET', note)\n"
    "    if type(said) == 'table' and string.find(said.err, '^WRONGTYPE')\n"
    "      or type(said) == 'string' and not string.find(said, '^%d+%-%d+$') and said ~= '' then\n"
    "      said = {err = 'BADNOTE this is no id'}\n"
    "    end\n"
    "    known[note] = said\n"
    "  end\n"
    "  bad = bad or type(said) == 'table'\n"
    "  out[#out + 1] = type(said) == 'table' and said or ''\n"
    "end\n"
    "if bad then out[#out + 1] = '' return out end\n"
    "for i = 1, #KEYS, 2 do\n"
    "  local stream, note, n = KEYS[i], KEYS[i + 1], tonumber(ARGV[at + 2])\n"
    "  local id = known[note] or ''\n"
    "  if id ~= '' then\n"
    "    out[(i + 1) / 2] = '=' .. id\n"
    "  else\n"
    "    id = redis.pcall('XADD', stream, unpack(ARGV, at + 3, at + 2 + n))\n"
    "    out[(i + 1) / 2] = id\n"
    "    if note ~= stream and type(id) == 'string' then\n"
    "      redis.pcall('SET', note, id, 'EX', ARGV[1])\n"
    "      known[note] = id\n"
    "    end\n"
    "    if type(id) == 'string' then keep(stream, ARGV[at], ARGV[at + 1]) end\n"
    "  end\n"
    "  at = at + n + 3\n"
    "end\n"
    "out[#out + 1] = failed\n"
    "return out\n";

/* Of the text above; a test compares it with what Redis says. Another one costs a round trip. */
static const char script_sha1[] = "e3824b93d6aef633342714c9c79fbf462d95237e";

#define SHORT_LEN 12

/* Texts that argv points at, of each event. */
typedef struct {
    char trim[RS_XADD_TRIM_LEN];
    char minid[RS_XADD_TRIM_LEN];
    char idle[RS_XADD_TRIM_LEN];
    char nargs[SHORT_LEN];
} texts_t;

typedef struct {
    int argc;
    const char **argv;
    apr_size_t *lens;
    texts_t *texts;
    char nkeys[SHORT_LEN];
} command_t;

static void command_free(command_t *command)
{
    free(command->argv);
    free(command->lens);
    free(command->texts);
}

static void add(command_t *command, const char *word)
{
    command->argv[command->argc] = word;
    command->lens[command->argc++] = strlen(word);
}

/* Nothing, if it is none. */
static const char *number(char text[RS_XADD_TRIM_LEN], apr_int64_t value)
{
    text[0] = '\0';
    if (value > 0) {
        apr_snprintf(text, RS_XADD_TRIM_LEN, "%" APR_INT64_T_FMT, value);
    }
    return text;
}

/* Everything but the command's name and the script. Returns 0 without memory. */
static int command_make(command_t *command, const rs_xadd_t *items, int n)
{
    size_t most = 4 + (size_t)n * (5 + RS_XADD_ARGS_MAX);
    int i;

    command->argv = malloc(most * sizeof(*command->argv));
    command->lens = malloc(most * sizeof(*command->lens));
    command->texts = malloc((size_t)n * sizeof(*command->texts));
    if (!command->argv || !command->lens || !command->texts) {
        return 0;
    }
    command->argc = 2;
    apr_snprintf(command->nkeys, sizeof(command->nkeys), "%d", 2 * n);
    add(command, command->nkeys);
    for (i = 0; i < n; i++) {
        add(command, items[i].key);
        add(command, items[i].event_key ? items[i].event_key : items[i].key);
    }
    add(command, REMEMBER);
    for (i = 0; i < n; i++) {
        texts_t *texts = &command->texts[i];
        int at = command->argc + 3;
        int nargs = rs_xadd_args(&items[i], texts->trim, command->argv + at, command->lens + at);

        add(command, number(texts->minid, items[i].maxlen > 0 ? items[i].minid : 0));
        add(command, number(texts->idle, items[i].idle));
        apr_snprintf(texts->nargs, sizeof(texts->nargs), "%d", nargs);
        add(command, texts->nargs);
        command->argc += nargs;
    }
    return 1;
}

/* APR_SUCCESS, or *outcome is what is known. */
static apr_status_t run(rs_redis_conn_t *conn, command_t *command, const char *name,
                        const char *what, redisReply **reply, rs_publish_outcome_t *outcome)
{
    apr_status_t rv;

    command->argv[0] = name;
    command->lens[0] = strlen(name);
    command->argv[1] = what;
    command->lens[1] = strlen(what);
    *outcome = RS_PUBLISH_NOTHING;
    if ((rv = rs_redis_conn_append(conn, command->argc, command->argv, command->lens))
            != APR_SUCCESS
        || (rv = rs_redis_conn_flush(conn)) != APR_SUCCESS) {
        return rv;
    }
    *outcome = RS_PUBLISH_UNKNOWN;
    return rs_redis_conn_reply(conn, reply);
}

static int is_unknown_script(const redisReply *reply)
{
    char class[RS_REDIS_CLASS_LEN];

    rs_redis_error_class(class, reply);
    return reply->type == REDIS_REPLY_ERROR && !strcmp(class, "NOSCRIPT");
}

/* The answers to all events, and behind them what could not be done besides. */
static rs_publish_outcome_t take(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                 const redisReply *reply, char refused[RS_REDIS_CLASS_LEN])
{
    const redisReply *besides;
    redisReply ids = *reply;
    rs_publish_outcome_t outcome;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != (size_t)n + 1) {
        return rs_xadd_confused(conn);
    }
    ids.elements = (size_t)n;
    outcome = rs_xadd_take_ids(conn, items, n, &ids);
    besides = reply->element[n];
    if (outcome == RS_PUBLISH_DONE && besides->type == REDIS_REPLY_ERROR) {
        rs_xadd_error_class(refused, besides);
    }
    return outcome;
}

rs_publish_outcome_t rs_redis_publish_once(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                           char refused[RS_REDIS_CLASS_LEN])
{
    command_t command = {0, NULL, NULL, NULL, ""};
    rs_publish_outcome_t outcome = RS_PUBLISH_NOTHING;
    redisReply *reply = NULL;
    apr_status_t rv = APR_ENOMEM;

    if (command_make(&command, items, n)) {
        rv = run(conn, &command, "EVALSHA", script_sha1, &reply, &outcome);
        if (rv == APR_SUCCESS && is_unknown_script(reply)) {
            freeReplyObject(reply);
            rv = run(conn, &command, "EVAL", script, &reply, &outcome);
        }
    }
    command_free(&command);
    if (rv != APR_SUCCESS) {
        return outcome;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        /* Commands within the script do not raise errors: it was not begun. */
        rs_redis_error_class(items[0].refused, reply);
        outcome = RS_PUBLISH_REFUSED;
    }
    else {
        outcome = take(conn, items, n, reply, refused);
    }
    freeReplyObject(reply);
    return outcome;
}

/* What Redis Cluster takes a key's slot from, if the key says so. */
static int has_hash_tag(const char *key)
{
    const char *brace = strchr(key, '{');

    return brace && strchr(brace, '}') > brace + 1;
}

/* A tenant has no ':', the length says where the stream's key ends, and its first character which
 * of the two forms it has. The note is in its stream's slot, unless that has half a brace. */
const char *rs_event_key(apr_pool_t *p, const char *key, const char *tenant, const char *event_id)
{
    int tagged = has_hash_tag(key);

    return apr_psprintf(p, RS_OWN_EVENT "%s:%" APR_SIZE_T_FMT ":%s%s%s:%s", tenant, strlen(key),
                        tagged ? ":" : "{", key, tagged ? "" : "}", event_id);
}
