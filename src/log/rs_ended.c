/* SPDX-License-Identifier: Apache-2.0
 *
 * What an id of nothing is worth.
 */
#include "rs_ended.h"
#include "rs_source.h"

static apr_interval_time_t idle_of(const rs_topic_t *topic, int k)
{
    return topic->source->streams[topic->stream[k]].idle;
}

const char *rs_ended_text(const rs_topic_t *topic, const rs_cursor_t *cursor,
                          char buf[RS_CURSOR_LEN], apr_time_t now)
{
    rs_cursor_t said = *cursor;
    int k;

    for (k = 0; k < said.n; k++) {
        if (said.pos[k].ms == 0 && idle_of(topic, k)) {
            said.pos[k].seq = (apr_uint64_t)apr_time_as_msec(now);
        }
    }
    return rs_cursor_text(&said, buf);
}

/* Since when the client may not have been there: ids are times, and it had the latest of these. */
static apr_uint64_t seen(const rs_cursor_t *cursor)
{
    apr_uint64_t latest = 0;
    int k;

    for (k = 0; k < cursor->n; k++) {
        apr_uint64_t t = cursor->pos[k].ms ? cursor->pos[k].ms : cursor->pos[k].seq;

        latest = t > latest ? t : latest;
    }
    return latest;
}

/* Half of that time: clocks differ. */
int rs_ended_since(const rs_topic_t *topic, rs_cursor_t *cursor, apr_time_t now)
{
    apr_uint64_t from = seen(cursor), ms = (apr_uint64_t)apr_time_as_msec(now);
    int k, may_have = 0;

    for (k = 0; k < cursor->n; k++) {
        apr_uint64_t idle = (apr_uint64_t)apr_time_as_msec(idle_of(topic, k));

        if (cursor->pos[k].ms == 0 && idle) {
            cursor->pos[k].seq = 0;
            may_have |= from < ms && ms - from >= idle / 2;
        }
    }
    return may_have;
}
